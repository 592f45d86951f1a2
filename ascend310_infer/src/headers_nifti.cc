// NIfTI-1: the few fields that decide, at their published offsets.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "errors.h"
#include "headers.h"
#include "image_names.h"
#include "sentence.h"

namespace mindvoxel {
namespace {

constexpr std::size_t kHeadBytes = 352;
constexpr int kNifti1 = 348, kNifti2 = 540;  // what a header starts with: its own size
constexpr int kFloat32 = 16, kFloat64 = 64;

/// Bits a voxel of each datatype code; readers go by the code and not by the header's own bitpix.
int bits_of(int code) {
  constexpr std::array<std::array<int, 2>, 14> table{{{2, 8},
                                                      {4, 16},
                                                      {8, 32},
                                                      {16, 32},
                                                      {32, 64},
                                                      {64, 64},
                                                      {128, 24},
                                                      {256, 8},
                                                      {512, 16},
                                                      {768, 32},
                                                      {1024, 64},
                                                      {1280, 64},
                                                      {1792, 128},
                                                      {2304, 32}}};
  for (const auto& [known, bits] : table) {
    if (known == code) return bits;
  }
  return 0;
}

template <typename Number>
Number number_at(const unsigned char* bytes, bool swapped) {
  std::array<unsigned char, sizeof(Number)> own{};
  std::copy_n(bytes, sizeof(Number), own.begin());
  if (swapped) std::reverse(own.begin(), own.end());
  Number value;
  std::memcpy(&value, own.data(), sizeof(Number));
  return value;
}

/// The start of a file, and whether its byte order is not this machine's.
struct Head {
  std::vector<unsigned char> bytes;
  bool swapped = false;

  template <typename Number>
  Number at(std::size_t offset) const {
    return number_at<Number>(bytes.data() + offset, swapped);
  }
};

bool gzipped(const std::filesystem::path& path) { return image_suffix(path) == ".nii.gz"; }

void read_all(const std::filesystem::path& path, const TakeBytes& take, std::uint64_t& found) {
  found = gzipped(path) ? inflate_file(path, 0, take) : read_file(path, take);
}

Head read_head(const std::filesystem::path& path) {
  Head head;
  auto take = [&head](const unsigned char* bytes, std::size_t count) {
    head.bytes.insert(head.bytes.end(), bytes, bytes + std::min(count, kHeadBytes - head.bytes.size()));
    return head.bytes.size() < kHeadBytes;
  };
  std::uint64_t found = 0;
  try {
    read_all(path, take, found);
  } catch (const InputError&) {  // cut short or no gzip at all: what there is decides
    if (head.bytes.size() < kNifti1 && gzipped(path)) {
      throw InputError(text(path.string(), ": not a readable gzip file; write it anew"));
    }
  }
  if (head.bytes.size() >= kNifti1) {
    for (const bool swapped : {false, true}) {
      head.swapped = swapped;
      const auto size = head.at<std::int32_t>(0);
      if (size == kNifti1) {
        head.bytes.resize(kHeadBytes);
        return head;
      }
      if (size == kNifti2) {
        throw InputError(text(path.string(),
                              ": NIfTI-2, which ITK does not read; convert it to NIfTI-1, NRRD or "
                              "MetaImage"));
      }
    }
  }
  throw InputError(text(path.string(), ": not a NIfTI file (its header does not start with the size 348); convert it"));
}

/// Counts what is not finite among the numbers from byte `offset` on.
class FiniteCount {
 public:
  FiniteCount(std::uint64_t offset, std::uint64_t count, std::size_t number_bytes, bool swapped)
      : skip_(offset), left_(product(count, number_bytes)), number_bytes_(number_bytes), swapped_(swapped) {}

  bool operator()(const unsigned char* bytes, std::size_t count) {
    const auto passed = static_cast<std::size_t>(std::min<std::uint64_t>(skip_, count));
    skip_ -= passed;
    const auto used = static_cast<std::size_t>(std::min<std::uint64_t>(left_, count - passed));
    left_ -= used;
    rest_.insert(rest_.end(), bytes + passed, bytes + passed + used);
    const std::size_t whole = rest_.size() / number_bytes_ * number_bytes_;
    for (std::size_t at = 0; at < whole; at += number_bytes_) bad_ += finite(rest_.data() + at) ? 0 : 1;
    rest_.erase(rest_.begin(), rest_.begin() + static_cast<std::ptrdiff_t>(whole));
    return true;
  }

  std::uint64_t bad() const { return bad_; }

 private:
  bool finite(const unsigned char* bytes) const {
    return number_bytes_ == 4 ? std::isfinite(number_at<float>(bytes, swapped_))
                              : std::isfinite(number_at<double>(bytes, swapped_));
  }

  std::uint64_t skip_, left_;
  std::size_t number_bytes_;
  bool swapped_;
  std::vector<unsigned char> rest_;
  std::uint64_t bad_ = 0;
};

std::vector<int> size_of(const std::filesystem::path& path, const Head& head) {
  const int stated = head.at<std::int16_t>(40);
  std::vector<int> size;
  for (int axis = 0; axis < std::clamp(stated, 0, 7); ++axis) {
    size.push_back(head.at<std::int16_t>(static_cast<std::size_t>(42 + 2 * axis)));
  }
  if (stated < 2 || stated > 4) {
    throw InputError(text(path.string(), ": ", stated, "-D image (", joined(size, "×"),
                          "); an image of 2, 3 or 4 dimensions is needed"));
  }
  if (stated == 4 && size[3] == 1) size.pop_back();  // a fourth axis of one volume is dropped by ITK
  return size;
}

bool check_spacing(const std::filesystem::path& path, const Head& head, std::size_t num_axes) {
  std::vector<float> spacing;
  for (std::size_t axis = 0; axis < num_axes; ++axis) spacing.push_back(head.at<float>(80 + 4 * axis));
  const auto fine = [](float mm) { return mm > 0 && std::isfinite(mm); };
  if (!std::all_of(spacing.begin(), spacing.end(), [&](float mm) { return fine(mm) || mm == 0; })) {
    throw InputError(text(path.string(), ": spacing (", joined(spacing, ", "),
                          ") mm in (x, y, z); every axis needs a spacing above 0"));
  }
  return std::all_of(spacing.begin(), spacing.end(), fine);
}

}  // namespace

bool check_nifti(const std::filesystem::path& path, bool voxels) {
  const Head head = read_head(path);
  const std::vector<int> size = size_of(path, head);
  const bool known = check_spacing(path, head, std::min<std::size_t>(size.size(), 3));
  const int code = head.at<std::int16_t>(70), bits = bits_of(code);
  const auto offset = head.at<float>(108);
  if (!(offset >= 0 && offset < 2147483648.0F) || bits == 0 || *std::min_element(size.begin(), size.end()) <= 0) {
    throw InputError(text(path.string(), ": damaged header: size ", joined(size, "×"), ", voxels of type ", code, " (",
                          bits, " bits) at byte ", offset, "; copy it again"));
  }
  std::uint64_t count = 1;
  for (const int n : size) count = product(count, static_cast<std::uint64_t>(n));
  const auto start = static_cast<std::uint64_t>(offset);
  const std::uint64_t needed = start + product(count, static_cast<std::uint64_t>(bits)) / 8;
  std::uint64_t found = needed;
  FiniteCount numbers(start, count, code == kFloat64 ? 8 : 4, head.swapped);
  if (voxels && (code == kFloat32 || code == kFloat64)) {
    read_all(path, std::ref(numbers), found);
  } else if (!gzipped(path)) {
    found = std::filesystem::file_size(path);
  } else if (voxels) {
    found = inflate_file(path, 0, count_only);
  }
  require_bytes(path, found, needed);
  refuse_infinite(path, numbers.bad(), count);
  return known;
}

}  // namespace mindvoxel
