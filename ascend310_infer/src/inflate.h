// Compressed bytes of a file, a piece at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>

namespace mindvoxel {

/// Takes `count` bytes that follow those of the last call; false: no more are wanted.
using TakeBytes = std::function<bool(const unsigned char* bytes, std::size_t count)>;

/// Give `take` what the gzip or zlib stream at byte `start` unpacks to, all members of it; returns how many bytes that
/// were.
///
/// Throws InputError where it is damaged or cut short: ITK fills what it cannot unpack with whatever lay in memory.
std::uint64_t inflate_file(const std::filesystem::path& path, std::uint64_t start, const TakeBytes& take);

/// Give `take` the bytes of a file as they are; returns how many.  Throws InputError where it cannot be read.
std::uint64_t read_file(const std::filesystem::path& path, const TakeBytes& take);

}  // namespace mindvoxel
