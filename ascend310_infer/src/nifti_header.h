// The fields of a NIfTI-1 header that decide, at their published offsets.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <vector>

#include "inflate.h"
#include "volume.h"

namespace mindvoxel {

/// A number of a file, whose byte order may be the other one.
template <typename Number>
Number number_at(const unsigned char* bytes, bool swapped) {
  std::array<unsigned char, sizeof(Number)> own{};
  std::copy_n(bytes, sizeof(Number), own.begin());
  if (swapped) std::reverse(own.begin(), own.end());
  Number value;
  std::memcpy(&value, own.data(), sizeof(Number));
  return value;
}

struct NiftiHeader {
  bool swapped = false;                ///< its byte order is not this machine's
  std::vector<std::size_t> size;       ///< 2 to 4 axes, the fastest first; a fourth axis of one volume is dropped
  int type = 0;                        ///< code of the voxels
  std::uint64_t voxels_at = 0;         ///< byte at which they begin
  double slope = 1, intercept = 0;     ///< of the values stored; 1 and 0: they stand for themselves
  std::array<double, 3> spacing_mm{};  ///< along (x, y, z); 0: unknown
  Geometry geometry;                   ///< what it says of place and direction; its spacing is not filled in
};

/// Throws InputError where the file is no NIfTI-1, of other than 2 to 4 axes, or its header is damaged.
NiftiHeader read_nifti_header(const std::filesystem::path& path);

/// Give `take` the bytes of the file, unpacked where its name ends in .gz; returns how many.
std::uint64_t read_nifti(const std::filesystem::path& path, const TakeBytes& take);

/// Bits a voxel of a type's code, 0 for an unknown one; readers go by the code and not by the header's own bitpix.
int nifti_bits(int type);

/// What decides where a NIfTI grid lies: qform and sform, RAS.
struct NiftiForms {
  int qform_code = 0, sform_code = 0;
  std::array<float, 3> quaternion{}, offset{};  ///< b, c, d of the qform, and its origin
  std::array<float, 4> pixdim{};                ///< sign of the third axis, then mm along each
  std::array<std::array<float, 4>, 3> sform{};  ///< rows; of no known one zeros
};

/// Origin and direction in LPS, by the rules of ITK 5.3 and later, which SimpleITK has and Debian's ITK 5.2 has not.
///
/// num_axes: of the image, 2 or 3.  Throws InputError where neither form has axes at right angles.
Geometry nifti_geometry(const std::filesystem::path& path, const NiftiForms& forms, std::size_t num_axes,
                        double mm_a_unit);

}  // namespace mindvoxel
