// A JPEG file's pixels as Python's reader, SimpleITK, gives them.
//
// It brings libjpeg 9, which spreads colours that are stored at half size in the inverse cosine transform; the system's
// libjpeg-turbo interpolates them afterwards.  Pixels where colours change differ by up to 20, enough to move a
// probability.  libjpeg-turbo has the same transform, but for all components of a pass at once: such a file is decoded
// twice, its luma as it is and its colours at twice their size.
#pragma once

#include <string>

#include "photo.h"

namespace mindvoxel {

/// The pixels of a JPEG file of 1 or 3 values a pixel, whose bytes are `data`; damage that libjpeg can pass over is
/// passed over, as in Python.
///
/// Exactly as libjpeg 9 has them where colours are stored at full size or, along both sides, at half size; else (4:2:2)
/// as the libjpeg that is here.  Throws InputError, without the file's name, where libjpeg gives it up.
Photo decode_jpeg(const std::string& data);

}  // namespace mindvoxel
