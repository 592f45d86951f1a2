// A PNG file's pixels, by libpng: where a header is damaged, the reader in Debian's ITK ends the program.
#pragma once

#include <string>

#include "photo.h"

namespace mindvoxel {

/// The pixels of a PNG file with 8 bits a value or fewer, whose bytes are `data`; grey is repeated, transparency is
/// dropped.  Throws InputError, without the file's name, where libpng gives it up.
Photo decode_png(const std::string& data);

}  // namespace mindvoxel
