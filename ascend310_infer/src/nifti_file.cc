// NIfTI-1, read in one pass: what is checked is what is used, and no second copy of the voxels is held.
#include <cmath>

#include "errors.h"
#include "headers.h"
#include "image_file.h"
#include "image_names.h"
#include "nifti_header.h"
#include "text.h"

namespace mindvoxel {
namespace {

/// Values that one voxel has, side by side.
std::size_t components_of(int type) { return type == 128 ? 3 : type == 2304 ? 4 : 1; }

bool is_complex(int type) { return type == 32 || type == 1792; }

/// Numbers as they come, to channels (C, D, H, W) of float32.
class Converter {
 public:
  Converter(const NiftiHeader& header, std::uint64_t num_numbers, float* voxels)
      : header_(header),
        components_(components_of(header.type)),
        number_bytes_(static_cast<std::size_t>(nifti_bits(header.type)) / 8 / components_),
        skip_(header.voxels_at),
        total_(num_numbers),
        voxels_(voxels) {}

  bool operator()(const unsigned char* bytes, std::size_t count) {
    const auto passed = static_cast<std::size_t>(std::min<std::uint64_t>(skip_, count));
    skip_ -= passed;
    rest_.insert(rest_.end(), bytes + passed, bytes + count);
    const auto whole = static_cast<std::size_t>(std::min<std::uint64_t>(rest_.size() / number_bytes_, total_ - done_));
    convert(whole);
    done_ += whole;
    rest_.erase(rest_.begin(), rest_.begin() + static_cast<std::ptrdiff_t>(whole * number_bytes_));
    if (done_ == total_) rest_.clear();  // what follows is counted alone
    return true;
  }

  std::uint64_t bad() const { return bad_; }

 private:
  void convert(std::size_t count) {
    switch (header_.type) {
      case 4:
        return convert_as<std::int16_t>(count);
      case 8:
        return convert_as<std::int32_t>(count);
      case 16:
        return convert_as<float>(count);
      case 64:
        return convert_as<double>(count);
      case 256:
        return convert_as<std::int8_t>(count);
      case 512:
        return convert_as<std::uint16_t>(count);
      case 768:
        return convert_as<std::uint32_t>(count);
      case 1024:
        return convert_as<std::int64_t>(count);
      case 1280:
        return convert_as<std::uint64_t>(count);
      default:
        return convert_as<std::uint8_t>(count);  // 2, and the colours 128 and 2304
    }
  }

  template <typename Number>
  void convert_as(std::size_t count) {
    const bool scaled = header_.slope != 1 || header_.intercept != 0;
    const std::uint64_t plane = total_ / components_;
    for (std::size_t i = 0; i < count; ++i) {
      const auto number = number_at<Number>(rest_.data() + i * sizeof(Number), header_.swapped);
      const float value = scaled ? scale(number) : static_cast<float>(number);
      bad_ += std::isfinite(value) ? 0 : 1;
      const std::uint64_t place = done_ + i;
      voxels_[components_ == 1 ? place : place % components_ * plane + place / components_] = value;
    }
  }

  /// Whole numbers become float32 before they are scaled, as ITK has it.
  template <typename Number>
  float scale(Number number) const {
    const bool is_double = std::is_same_v<Number, double>;
    const double wide = is_double ? static_cast<double>(number) : static_cast<double>(static_cast<float>(number));
    return static_cast<float>(wide * header_.slope + header_.intercept);
  }

  const NiftiHeader& header_;
  std::size_t components_, number_bytes_;
  std::uint64_t skip_, total_, done_ = 0, bad_ = 0;
  std::vector<unsigned char> rest_;
  float* voxels_;
};

class NiftiFile final : public ImageFile {
 public:
  NiftiFile(const std::filesystem::path& path, const std::optional<Spacing>& spacing_mm)
      : ImageFile(path), header_(read_nifti_header(path)) {
    const std::vector<std::size_t>& size = header_.size;
    if (is_complex(header_.type)) {
      throw InputError(
          text(path.string(), ": complex values; save their magnitude, or real and imaginary part as two channels"));
    }
    const std::size_t components = components_of(header_.type), num_axes = size.size();
    if (num_axes == 4 && components > 1) {
      throw InputError(text(path.string(), ": 4-D image of size ", joined(size, "×"), " with ", components,
                            " values a voxel; an image of 2 or 3 dimensions is needed, or a 4-D one whose fourth axis "
                            "is its channels"));
    }
    channels_ = num_axes == 4 ? size[3] : components;
    shape_ = {num_axes > 2 ? size[2] : 1, size[1], size[0]};
    geometry_ = header_.geometry;
    fill_spacing(spacing_mm);
    if (image_suffix(path) == ".nii") {
      require_bytes(path, std::filesystem::file_size(path), bytes_needed());
    } else {
      require_plausible(path, bytes_needed());
    }
  }

  void read(float* voxels) const override {
    Converter converter(header_, channels_ * num_voxels(shape_), voxels);
    require_bytes(path_, read_nifti(path_, std::ref(converter)), bytes_needed());
    refuse_infinite(path_, converter.bad(), channels_ * num_voxels(shape_));
  }

 private:
  std::uint64_t bytes_needed() const {
    std::uint64_t count = 1;
    for (const std::size_t n : header_.size) count = product(count, n);
    return header_.voxels_at + product(count, static_cast<std::uint64_t>(nifti_bits(header_.type)) / 8);
  }

  void fill_spacing(const std::optional<Spacing>& spacing_mm) {
    const auto& mm = header_.spacing_mm;
    const bool flat = header_.size.size() == 2;
    const bool known = mm[0] > 0 && mm[1] > 0 && (flat || mm[2] > 0);
    if (!known && !spacing_mm) refuse_unknown_spacing(path_);
    geometry_.spacing_mm = {flat ? std::max(mm[0], mm[1]) : mm[2], mm[1], mm[0]};
    if (!known) geometry_.spacing_mm = *spacing_mm;
  }

  NiftiHeader header_;
};

}  // namespace

std::unique_ptr<ImageFile> open_nifti(const std::filesystem::path& path, const std::optional<Spacing>& spacing_mm) {
  return std::make_unique<NiftiFile>(path, spacing_mm);
}

}  // namespace mindvoxel
