// Looks at an image file before ITK opens it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

#include "inflate.h"

namespace mindvoxel {

/// Whether a MetaImage or NRRD file knows its spacing.  voxels: compressed voxels are unpacked to look at them, too.
///
/// Throws InputError where ITK cannot take the file, or would without a word read something else than it holds: it is
/// truncated, damaged, of other than 2 to 4 axes, or its spacing is no number above 0.
bool check_header(const std::filesystem::path& path, bool voxels);

/// As check_header, of a file of each type (headers_meta.cc, headers_nrrd.cc).
bool check_meta(const std::filesystem::path& path, bool voxels);
bool check_nrrd(const std::filesystem::path& path, bool voxels);

/// Throws InputError for a file that knows no spacing where none was given for it.
[[noreturn]] void refuse_unknown_spacing(const std::filesystem::path& path);

/// Throws InputError for an image of other than 2 to 4 axes.
void require_axes(const std::filesystem::path& path, long num_axes, const std::string& size);

/// The next line of a header without its end; bytes: how many were read before, and now.  false: the file has ended, or
/// the line is longer than any header's.
bool next_line(std::ifstream& file, std::string& line, std::uint64_t& bytes);

/// a · b, and the largest number there is where that is more.
std::uint64_t product(std::uint64_t a, std::uint64_t b);

/// A whole number in decimal digits, the largest there is where it is more; `fallback` where `word` is anything else.
std::uint64_t whole_number(const std::string& word, std::uint64_t fallback);

/// Throws InputError where a file has fewer bytes than its header asks for.
void require_bytes(const std::filesystem::path& path, std::uint64_t found, std::uint64_t needed);

/// Throws InputError where the compressed part of a file is too small for what its header asks for, so that no memory
/// is taken for it.
void require_plausible(const std::filesystem::path& path, std::uint64_t needed);

/// Throws InputError where `bad` of `count` voxels are NaN or infinite.
void refuse_infinite(const std::filesystem::path& path, std::uint64_t bad, std::uint64_t count);

/// For inflate_file, where the number of bytes is all that matters.
bool count_only(const unsigned char* bytes, std::size_t count);

}  // namespace mindvoxel
