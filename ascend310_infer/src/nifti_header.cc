#include "nifti_header.h"

#include <cmath>
#include <limits>

#include "errors.h"
#include "headers.h"
#include "image_names.h"
#include "text.h"

namespace mindvoxel {
namespace {

constexpr std::array<unsigned char, 3> kMagic{'n', '+', '1'};
constexpr std::size_t kNifti1 = 348, kNifti2 = 540;  // what a header starts with: its own size

/// The start of a file.
struct Head {
  std::vector<unsigned char> bytes;
  bool swapped = false;

  template <typename Number>
  Number at(std::size_t offset) const {
    return number_at<Number>(bytes.data() + offset, swapped);
  }
  /// A float, 0 where it is none.
  float finite_at(std::size_t offset) const {
    const auto value = at<float>(offset);
    return std::isfinite(value) ? value : 0.0F;
  }
};

bool gzipped(const std::filesystem::path& path) { return image_suffix(path) == ".nii.gz"; }

Head read_head(const std::filesystem::path& path) {
  Head head;
  const TakeBytes take = [&head](const unsigned char* bytes, std::size_t count) {
    head.bytes.insert(head.bytes.end(), bytes, bytes + std::min(count, kNifti1 - head.bytes.size()));
    return head.bytes.size() < kNifti1;
  };
  read_nifti(path, take);
  for (const bool swapped : {false, true}) {
    head.swapped = swapped;
    const std::uint32_t size = head.bytes.size() < kNifti1 ? 0 : head.at<std::uint32_t>(0);
    if (size == kNifti2) {
      throw InputError(text(path.string(), ": NIfTI-2, which is not read; convert it to NIfTI-1, NRRD or MetaImage"));
    }
    if (size == kNifti1 && std::equal(kMagic.begin(), kMagic.end(), &head.bytes[344])) return head;
  }
  throw InputError(text(
      path.string(), ": not a NIfTI-1 file (its header does not start with the size 348, or has no n+1); convert it"));
}

std::vector<long> size_of(const std::filesystem::path& path, const Head& head) {
  const int stated = head.at<std::int16_t>(40);
  std::vector<long> size;
  for (std::size_t axis = 0; axis < static_cast<std::size_t>(std::clamp(stated, 0, 7)); ++axis) {
    size.push_back(head.at<std::int16_t>(42 + 2 * axis));
  }
  require_axes(path, stated, joined(size, "×"));
  if (stated == 4 && size[3] == 1) size.pop_back();
  return size;
}

/// mm in a unit of length; of an unknown one it is taken for mm.
double mm_a_unit(const Head& head) {
  constexpr int kMetre = 1, kMicron = 3;
  const int unit = head.bytes[123] & 7;
  return unit == kMetre ? 1e3 : unit == kMicron ? 1e-3 : 1;
}

NiftiForms forms_of(const std::filesystem::path& path, const Head& head) {
  NiftiForms forms;
  forms.qform_code = std::max<int>(head.at<std::int16_t>(252), 0);
  forms.sform_code = std::max<int>(head.at<std::int16_t>(254), 0);
  for (std::size_t i = 0; i < 3; ++i) {
    forms.quaternion[i] = head.finite_at(256 + 4 * i);
    forms.offset[i] = head.finite_at(268 + 4 * i);
    for (std::size_t k = 0; forms.sform_code > 0 && k < 4; ++k) {
      forms.sform[i][k] = head.at<float>(280 + 16 * i + 4 * k);
      if (!std::isfinite(forms.sform[i][k])) {
        throw InputError(text(path.string(), ": damaged header: its sform holds NaN or infinity; write it anew"));
      }
    }
  }
  for (std::size_t i = 0; i < 4; ++i) forms.pixdim[i] = head.finite_at(76 + 4 * i);
  return forms;
}

void check_spacing(const std::filesystem::path& path, const Head& head, std::size_t num_axes) {
  std::vector<float> spacing;
  for (std::size_t axis = 0; axis < num_axes; ++axis) spacing.push_back(head.at<float>(80 + 4 * axis));
  if (!std::all_of(spacing.begin(), spacing.end(), [](float mm) { return mm >= 0 && std::isfinite(mm); })) {
    throw InputError(text(path.string(), ": spacing (", joined(spacing, ", "),
                          ") mm in (x, y, z); every axis needs a spacing above 0"));
  }
}

/// ITK's threshold below which a scale changes nothing.
void read_scale(const Head& head, NiftiHeader& header) {
  constexpr double least = std::numeric_limits<double>::epsilon();
  const double slope = head.finite_at(112), intercept = head.finite_at(116);
  header.slope = std::abs(slope) <= least || std::abs(slope - 1) <= least ? 1 : slope;
  header.intercept = std::abs(intercept) <= least ? 0 : intercept;
}

}  // namespace

int nifti_bits(int type) {
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
    if (known == type) return bits;
  }
  return 0;
}

std::uint64_t read_nifti(const std::filesystem::path& path, const TakeBytes& take) {
  return gzipped(path) ? inflate_file(path, 0, take) : read_file(path, take);
}

NiftiHeader read_nifti_header(const std::filesystem::path& path) {
  const Head head = read_head(path);
  const std::vector<long> size = size_of(path, head);
  const std::size_t num_axes = std::min<std::size_t>(size.size(), 3);
  check_spacing(path, head, num_axes);
  const auto offset = head.at<float>(108);
  NiftiHeader header;
  header.type = head.at<std::int16_t>(70);
  if (!(offset >= 0 && offset < 2147483648.0F) || nifti_bits(header.type) == 0 ||
      *std::min_element(size.begin(), size.end()) <= 0) {
    throw InputError(text(path.string(), ": damaged header: size ", joined(size, "×"), ", voxels of type ", header.type,
                          " (", nifti_bits(header.type), " bits) at byte ", offset, "; copy it again"));
  }
  header.swapped = head.swapped;
  header.size.assign(size.begin(), size.end());
  header.voxels_at = std::max<std::uint64_t>(static_cast<std::uint64_t>(offset), kNifti1);  // below: none was given
  read_scale(head, header);
  const NiftiForms forms = forms_of(path, head);
  const double mm = mm_a_unit(head);
  for (std::size_t axis = 0; axis < num_axes; ++axis) header.spacing_mm[axis] = forms.pixdim[axis + 1] * mm;
  header.geometry = nifti_geometry(path, forms, num_axes, mm);
  return header;
}

}  // namespace mindvoxel
