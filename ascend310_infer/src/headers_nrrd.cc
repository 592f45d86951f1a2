// NRRD: whether it knows its spacing, and the checksum of voxels that lie gzipped behind the header.
#include <fstream>

#include "errors.h"
#include "headers.h"
#include "image_names.h"
#include "text.h"

namespace mindvoxel {
namespace {

bool starts_with(const std::string& line, const std::string& beginning) { return line.rfind(beginning, 0) == 0; }

/// Whether a line "spacings: …" has a value that is a number.
bool has_number(const std::string& line) {
  std::istringstream words(line);
  std::string word;
  words >> word;
  while (words >> word) {
    if (word != "nan") return true;
  }
  return false;
}

/// The product of the numbers of a line "sizes: …": the voxels take at least so many bytes.
std::uint64_t num_numbers(const std::string& line) {
  std::istringstream words(line);
  std::string word;
  words >> word;
  std::uint64_t count = 1;
  while (words >> word) count = product(count, whole_number(word, 1));
  return count;
}

}  // namespace

bool check_nrrd(const std::filesystem::path& path, bool voxels) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw InputError(text(path.string(), ": cannot be opened; look at its permissions"));
  bool gzipped = false, raw = false, detached = false, spaced = false, ended = false;
  std::uint64_t start = 0, numbers = 1;
  for (std::string line; !ended && next_line(file, line, start);) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    line = lower(line);
    ended = line.empty();
    gzipped = gzipped || line == "encoding: gzip" || line == "encoding: gz";
    spaced = spaced || starts_with(line, "space directions:") || (starts_with(line, "spacings:") && has_number(line));
    raw = raw || line == "encoding: raw";
    if (starts_with(line, "sizes:")) numbers = num_numbers(line);
    detached = detached || starts_with(line, "data file:") || starts_with(line, "datafile:");
  }
  if (!ended || detached) return spaced;
  const std::uint64_t size = std::filesystem::file_size(path);
  require_plausible(path, numbers);  // of text as well
  if (gzipped && voxels) require_bytes(path, inflate_file(path, start, count_only), numbers);
  if (raw) require_bytes(path, size > start ? size - start : 0, numbers);
  return spaced;
}

}  // namespace mindvoxel
