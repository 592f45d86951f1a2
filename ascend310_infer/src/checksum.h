// SHA-256 of a file.
#pragma once

#include <filesystem>
#include <string>

namespace mindvoxel {

/// 64 hexadecimal digits.  Throws InputError where the file cannot be read.
std::string sha256_of(const std::filesystem::path& path);

}  // namespace mindvoxel
