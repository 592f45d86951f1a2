// One image file through ITK's readers and writers of MetaImage, NIfTI and NRRD.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>

#include "volume.h"

namespace mindvoxel {

/// An image file that was opened and looked at; its voxels have not been read.
class ImageFile {
 public:
  /// spacing_mm: taken where the file knows none.  voxels: compressed voxels are unpacked to look at them, too.
  /// Throws InputError as read_scan does.
  ImageFile(std::filesystem::path path, const std::optional<Spacing>& spacing_mm, bool voxels);
  ~ImageFile();

  /// Several values a voxel, or the fourth axis.
  std::size_t channels() const { return channels_; }
  const Shape& shape() const { return shape_; }
  const Geometry& geometry() const { return geometry_; }
  const std::filesystem::path& path() const { return path_; }

  /// Its voxels as (C, D, H, W) to `voxels`.  Throws InputError for one that is not finite in float32.
  void read(float* voxels) const;

 private:
  struct Io;  // ITK's, kept out of this header

  void look(const std::optional<Spacing>& spacing_mm);

  std::filesystem::path path_;
  std::unique_ptr<Io> io_;
  std::size_t channels_ = 0;
  Shape shape_{0, 0, 0};
  Geometry geometry_;
};

/// Write `labels` to the new file `path`, compressed, uint8 where the values allow it, else int16, then read it back.
///
/// Throws WorkError where it cannot be written, or what was written reads back as something else.
void write_image(const std::filesystem::path& path, const Labels& labels);

}  // namespace mindvoxel
