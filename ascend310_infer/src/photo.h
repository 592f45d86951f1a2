// A photograph for a classifier (data/photos.py): read as RGB, resized, cropped, normalised.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <vector>

#include "bundle.h"

namespace mindvoxel {

/// (H, W, 3), RGB.
struct Photo {
  std::vector<std::uint8_t> pixels;
  std::size_t height = 0, width = 0;
};

/// A JPEG or PNG file, whatever its name; grey is repeated, transparency is dropped, the camera's orientation (EXIF) is
/// ignored.
///
/// Throws InputError where it is missing, of another type, cut short, in CMYK, of more than 8 bits a value, grey with
/// transparency, or above 2^28 pixels.  Damage inside a JPEG's compressed pixels decodes to something, as in Python.
Photo read_photo(const std::filesystem::path& path);

/// (3, size, size): the square in the middle of the photo whose shorter side was resized to short_side, bilinear
/// between the centres of pixels and without smoothing; minus the mean of each colour, over its sd.
std::vector<float> prepare_photo(const Photo& photo, const PhotoForm& form);

}  // namespace mindvoxel
