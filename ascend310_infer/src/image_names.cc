#include "image_names.h"

#include <algorithm>

#include "errors.h"
#include "text.h"

namespace mindvoxel {
namespace {

constexpr std::array<const char*, 6> kPictures{".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"};

template <typename Suffixes>
std::string suffix_among(const Suffixes& suffixes, const std::filesystem::path& path) {
  const std::string name = lower(path.filename().string());
  for (const char* known : suffixes) {
    std::string suffix = known;
    if (name.size() >= suffix.size() && name.compare(name.size() - suffix.size(), suffix.size(), suffix) == 0) {
      return suffix;
    }
  }
  return "";
}

}  // namespace

std::string lower(std::string word) {
  std::transform(word.begin(), word.end(), word.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return word;
}

std::string image_suffix(const std::filesystem::path& path) { return suffix_among(kImageSuffixes, path); }

std::string name_of(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  return name.substr(0, name.size() - image_suffix(path).size());
}

bool is_picture(const std::filesystem::path& path) { return !suffix_among(kPictures, path).empty(); }

bool is_utf8(const std::string& name) {
  std::size_t follow = 0;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (follow > 0) {
      if ((byte & 0xC0U) != 0x80U) return false;
      --follow;
    } else if (byte >= 0x80U) {
      follow = (byte & 0xE0U) == 0xC0U ? 1 : (byte & 0xF0U) == 0xE0U ? 2 : (byte & 0xF8U) == 0xF0U ? 3 : 4;
      if (follow == 4) return false;
    }
  }
  return follow == 0;
}

void require_image(const std::filesystem::path& path) {
  if (is_picture(path)) {
    throw InputError(text(path.string(), ": a picture, which only predict.py reads; convert it to ",
                          joined(kImageSuffixes, ", "), " first"));
  }
  if (image_suffix(path).empty()) {
    const bool dot = path.filename().string().find('.') != std::string::npos;
    throw InputError(text(path.string(), dot ? ": unknown image type" : ": a name without a dot, and so no image type",
                          "; one of ", joined(kImageSuffixes, ", "), " is needed"));
  }
}

}  // namespace mindvoxel
