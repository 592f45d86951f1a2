// MetaImage: its lines `key = value`, and the bytes that they ask for.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <map>
#include <vector>

#include "errors.h"
#include "headers.h"
#include "text.h"

namespace mindvoxel {
namespace {

struct Fields {
  std::map<std::string, std::string> values;
  std::uint64_t bytes = 0;  ///< of the header, up to the voxels of a file that holds them

  bool has(const std::string& key) const { return values.count(key) > 0; }
  std::string get(const std::string& key, const std::string& otherwise = "") const {
    const auto found = values.find(key);
    return found == values.end() ? otherwise : found->second;
  }
  /// "" where there is none.
  std::string spacing() const { return get("ElementSpacing", get("ElementSize")); }
};

std::string stripped(const std::string& word) {
  const char* blank = " \t\r\n\f\v";
  const auto first = word.find_first_not_of(blank);
  return first == std::string::npos ? "" : word.substr(first, word.find_last_not_of(blank) - first + 1);
}

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream in(line);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

Fields read_fields(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw InputError(text(path.string(), ": cannot be opened; look at its permissions"));
  Fields fields;
  for (std::string line; next_line(file, line, fields.bytes);) {
    const auto equals = line.find('=');
    if (equals == std::string::npos) break;
    const std::string key = stripped(line.substr(0, equals));
    fields.values[key] = stripped(line.substr(equals + 1));
    if (key == "ElementDataFile") break;
  }
  return fields;
}

/// Bytes of a number of an ElementType; 0: unknown.
std::uint64_t bytes_of(std::string type) {
  if (type.rfind("MET_", 0) == 0) type.erase(0, 4);
  if (type.size() > 6 && type.compare(type.size() - 6, 6, "_ARRAY") == 0) type.erase(type.size() - 6);
  static const std::map<std::string, std::uint64_t> table{
      {"CHAR", 1}, {"UCHAR", 1}, {"SHORT", 2}, {"USHORT", 2}, {"INT", 4},       {"UINT", 4},
      {"LONG", 4}, {"ULONG", 4}, {"FLOAT", 4}, {"DOUBLE", 8}, {"LONG_LONG", 8}, {"ULONG_LONG", 8}};
  const auto found = table.find(type);
  return found == table.end() ? 0 : found->second;
}

bool above_0(const std::string& word) {
  char* end = nullptr;
  const double value = std::strtod(word.c_str(), &end);
  return *end == '\0' && value > 0 && std::isfinite(value);
}

/// DimSize, one whole number above 0 for each of NDims axes; the spacing must have as many values.
std::uint64_t num_numbers(const std::filesystem::path& path, const Fields& fields) {
  const auto size = words_of(fields.get("DimSize"));
  const std::string num_dims = fields.get("NDims");
  std::uint64_t count = 1;
  for (const std::string& word : size) count = product(count, whole_number(word, 0));
  if (count == 0 || num_dims != std::to_string(size.size())) {
    throw InputError(text(path.string(), ": DimSize = ", fields.get("DimSize"), " with NDims = ", num_dims,
                          "; a size above 0 is needed an axis"));
  }
  require_axes(path, static_cast<long>(size.size()), joined(size, "×"));
  const auto spacing = words_of(fields.spacing());
  if (!spacing.empty() && spacing.size() != size.size()) {
    throw InputError(text(path.string(), ": spacing ", fields.spacing(), " for ", size.size(),
                          " axes; one value an axis is needed"));
  }
  if (!std::all_of(spacing.begin(), spacing.end(), above_0)) {
    throw InputError(
        text(path.string(), ": spacing ", fields.spacing(), " mm in (x, y, z); every axis needs a spacing above 0"));
  }
  return product(count, whole_number(fields.get("ElementNumberOfChannels", "1"), 1));
}

/// MetaIO unpacks as many bytes as the header says, and leaves the rest of the voxels as memory was; of a file with
/// voxels alone it takes all where the header does not say.
void check_compressed_size(const std::filesystem::path& data_path, const Fields& fields, bool local,
                           std::uint64_t start) {
  const std::uint64_t size = std::filesystem::file_size(data_path), found = size > start ? size - start : 0;
  const std::uint64_t stated = whole_number(fields.get("CompressedDataSize", "0"), 0);
  if (stated == 0 && !local) return;
  if (stated > found) require_bytes(data_path, found, stated);
  if (stated < found) {
    throw InputError(text(data_path.string(), ": damaged, its compressed voxels take ", found,
                          " bytes, and CompressedDataSize is ", stated, "; write it anew"));
  }
}

/// As MetaIO reads it.
bool is_true(const std::string& word) { return word.find_first_of("tT1") == 0; }

}  // namespace

bool check_meta(const std::filesystem::path& path, bool voxels) {
  const Fields fields = read_fields(path);
  if (!fields.has("ElementDataFile") || !fields.has("DimSize")) {
    throw InputError(text(path.string(), ": not a MetaImage header (no DimSize or ElementDataFile); write it anew"));
  }
  const std::string data_file = fields.get("ElementDataFile");
  const bool local = data_file == "LOCAL" || data_file == "Local" || data_file == "local";
  const std::uint64_t numbers = num_numbers(path, fields);
  if (data_file.rfind("LIST", 0) == 0 || data_file.find('%') != std::string::npos) {
    return !fields.spacing().empty();  // one file a slice: ITK looks after these itself
  }
  const std::filesystem::path data_path = local ? path : path.parent_path() / data_file;
  if (!std::filesystem::is_regular_file(data_path)) {
    throw InputError(text(path.string(), ": its voxels should lie in ", data_path.string(),
                          ", which is not there; copy both files together"));
  }
  const std::uint64_t number_bytes = bytes_of(fields.get("ElementType"));
  if (number_bytes == 0) {
    throw InputError(text(path.string(), ": ", fields.get("ElementType", "nothing"),
                          " as ElementType; one of MET_SHORT, MET_FLOAT and so on is needed"));
  }
  const std::uint64_t needed = product(numbers, number_bytes);
  const std::uint64_t start = local ? fields.bytes : whole_number(fields.get("HeaderSize", "0"), 0);  // -1: at the end
  if (!is_true(fields.get("CompressedData", "False"))) {
    const std::uint64_t size = std::filesystem::file_size(data_path);
    require_bytes(data_path, size > start ? size - start : 0, needed);
    return !fields.spacing().empty();
  }
  require_plausible(data_path, needed);
  check_compressed_size(data_path, fields, local, start);
  if (voxels) {
    require_bytes(data_path, inflate_file(data_path, start, count_only), needed);
  }
  return !fields.spacing().empty();
}

}  // namespace mindvoxel
