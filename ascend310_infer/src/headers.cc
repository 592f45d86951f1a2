#include "headers.h"

#include <limits>

#include "errors.h"
#include "image_names.h"
#include "text.h"

namespace mindvoxel {
namespace {

constexpr std::size_t kLongestLine = 10000;
constexpr std::uint64_t kMostUnpacked = 1100;  // bytes that deflate makes of one, a little more than it can

}  // namespace

bool check_header(const std::filesystem::path& path, bool voxels) {
  return image_suffix(path) == ".nrrd" ? check_nrrd(path, voxels) : check_meta(path, voxels);
}

void refuse_unknown_spacing(const std::filesystem::path& path) {
  throw InputError(text(path.string(), ": knows no spacing; write it with the spacing of its voxels in mm"));
}

void require_axes(const std::filesystem::path& path, long num_axes, const std::string& size) {
  if (num_axes < 2 || num_axes > 4) {
    throw InputError(
        text(path.string(), ": ", num_axes, "-D image (", size, "); an image of 2, 3 or 4 dimensions is needed"));
  }
}

bool next_line(std::ifstream& file, std::string& line, std::uint64_t& bytes) {
  line.clear();
  for (char c = 0; file.get(c);) {
    ++bytes;
    if (c == '\n') return true;
    line.push_back(c);
    if (line.size() > kLongestLine) return false;
  }
  return !line.empty();
}

std::uint64_t product(std::uint64_t a, std::uint64_t b) {
  constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  return b != 0 && a > most / b ? most : a * b;
}

std::uint64_t whole_number(const std::string& word, std::uint64_t fallback) {
  constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  if (word.empty() || word.find_first_not_of("0123456789") != std::string::npos) return fallback;
  std::uint64_t value = 0;
  for (const char digit : word) {
    value = product(value, 10);
    const auto unit = static_cast<std::uint64_t>(digit - '0');
    value = value > most - unit ? most : value + unit;
  }
  return value;
}

void require_bytes(const std::filesystem::path& path, std::uint64_t found, std::uint64_t needed) {
  if (found < needed) {
    throw InputError(
        text(path.string(), ": truncated, ", found, " bytes where its header asks for ", needed, "; copy it again"));
  }
}

void require_plausible(const std::filesystem::path& path, std::uint64_t needed) {
  const std::uint64_t size = std::filesystem::file_size(path);
  if (needed > product(size, kMostUnpacked)) {
    throw InputError(text(path.string(), ": truncated, its ", size, " bytes cannot unpack to the ", needed,
                          " that its header asks for; copy it again"));
  }
}

void refuse_infinite(const std::filesystem::path& path, std::uint64_t bad, std::uint64_t count) {
  if (bad > 0) {
    throw InputError(text(path.string(), ": ", bad, " of ", count, " voxels are NaN or infinite; mend the image"));
  }
}

bool count_only(const unsigned char*, std::size_t) { return true; }

}  // namespace mindvoxel
