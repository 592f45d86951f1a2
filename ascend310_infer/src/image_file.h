// One image file: MetaImage and NRRD through ITK, NIfTI by this program itself.
//
// Where qform and sform differ, Debian's ITK 5.2 goes by another one than the newer ITK in SimpleITK, with which Python
// reads.  And the library below either reads a truncated file without a word, makes 0 of NaN, and where a.nii lies
// beside a.nii.gz takes the voxels of that one.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>

#include "volume.h"

namespace mindvoxel {

/// An image file that was opened and looked at; its voxels have not been read.
class ImageFile {
 public:
  virtual ~ImageFile() = default;

  /// Several values a voxel, or the fourth axis.
  std::size_t channels() const { return channels_; }
  const Shape& shape() const { return shape_; }
  const Geometry& geometry() const { return geometry_; }
  const std::filesystem::path& path() const { return path_; }

  /// Its voxels as (C, D, H, W) to `voxels`.  Throws InputError where they are truncated or damaged, or one is not
  /// finite in float32.
  virtual void read(float* voxels) const = 0;

 protected:
  explicit ImageFile(std::filesystem::path path) : path_(std::move(path)) {}

  std::filesystem::path path_;
  std::size_t channels_ = 0;
  Shape shape_{0, 0, 0};
  Geometry geometry_;
};

/// spacing_mm: taken where the file knows none.  Throws InputError as read_scan does.
std::unique_ptr<ImageFile> open_image(const std::filesystem::path& path, const std::optional<Spacing>& spacing_mm);

/// As open_image, of a file of either kind (nifti_file.cc, itk_file.cc).
std::unique_ptr<ImageFile> open_nifti(const std::filesystem::path& path, const std::optional<Spacing>& spacing_mm);
std::unique_ptr<ImageFile> open_with_itk(const std::filesystem::path& path, const std::optional<Spacing>& spacing_mm);

/// Write `labels` to the new file `path` through ITK, compressed, uint8 where they fit, else int16.  Throws WorkError
/// where it cannot be written.
void write_with_itk(const std::filesystem::path& path, const Labels& labels);

}  // namespace mindvoxel
