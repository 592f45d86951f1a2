// What the name of an image file says.
#pragma once

#include <array>
#include <filesystem>
#include <string>

namespace mindvoxel {

/// Types that are read; all but the first are written.
inline constexpr std::array<const char*, 5> kImageSuffixes{".mhd", ".mha", ".nii.gz", ".nii", ".nrrd"};

/// A to Z in small letters, whatever the language of the machine.
std::string lower(std::string word);

/// "Case.NII.gz" -> ".nii.gz", in small letters; of a file that is none of kImageSuffixes: nothing.
std::string image_suffix(const std::filesystem::path& path);

/// "Case.nii.gz" -> "Case"; the whole name of a file that is no image.
std::string name_of(const std::filesystem::path& path);

/// A 2-D picture by its name (PNG, JPEG, TIFF, BMP), which Python reads and this program does not.
bool is_picture(const std::filesystem::path& path);

/// Whether the bytes of a name are UTF-8, as tables and reports need it.
bool is_utf8(const std::string& name);

/// Throws InputError unless the file has one of kImageSuffixes.
void require_image(const std::filesystem::path& path);

}  // namespace mindvoxel
