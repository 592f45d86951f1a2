// Files that are whole or not there.
#pragma once

#include <cstddef>
#include <filesystem>

namespace mindvoxel {

/// Write beside the place first, then rename.  Throws WorkError, in one sentence, where that fails; nothing is left.
void write_bytes(const std::filesystem::path& path, const void* bytes, std::size_t count);

/// Make a folder with its parents, and write and remove a file in it.  Throws InputError where it cannot be.
void make_folder(const std::filesystem::path& folder);

}  // namespace mindvoxel
