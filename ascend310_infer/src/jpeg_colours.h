// Colours of a JPEG that are stored at half size, as Python's reader spreads them.
//
// SimpleITK brings libjpeg 9, which spreads them in the inverse cosine transform; Debian's ITK uses libjpeg-turbo,
// which interpolates afterwards.  Pixels at the border of colours differ by up to 20, enough to change a probability.
// But libjpeg-turbo has the same transform, for those who ask for twice the size.
#pragma once

#include <string>

#include "photo.h"

namespace mindvoxel {

/// The pixels of a JPEG file, whose bytes are `data`, exactly as libjpeg 9 decodes them.  false: its colours are stored
/// neither at full nor, along both sides, at half size, or it has none; nothing is done.  Throws InputError, without
/// the file's name, where libjpeg gives it up.
bool read_jpeg_colours(const std::string& data, Photo& photo);

}  // namespace mindvoxel
