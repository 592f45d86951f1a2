#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>

#include "errors.h"
#include "image_names.h"
#include "jpeg_file.h"
#include "photo.h"
#include "png_file.h"
#include "text.h"

namespace mindvoxel {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMostPixels = 1 << 28;  // a small file may claim 65,535 along both sides
const std::string kPng("\x89PNG\r\n\x1a\n"), kJpeg("\xff\xd8");

/// What a file says of itself.
struct Head {
  std::uint64_t width = 0, height = 0;
  unsigned int bits = 0;
};

/// Bytes of a file as numbers, the highest first.
class Bytes {
 public:
  explicit Bytes(const std::string& data) : data_(data) {}
  std::uint64_t at(std::size_t place, std::size_t count) const {
    std::uint64_t number = 0;
    for (std::size_t i = place; i < place + count; ++i) number = number << 8U | static_cast<unsigned char>(data_[i]);
    return number;
  }

 private:
  const std::string& data_;
};

bool is_frame(std::uint64_t code) {
  return code >= 0xC0 && code <= 0xCF && code != 0xC4 && code != 0xC8 && code != 0xCC;
}

/// Behind the next marker from `at` on that does not stand inside compressed pixels; 0: there is none.
std::size_t behind_marker(const std::string& data, std::size_t at) {
  for (at = data.find('\xff', at); at != std::string::npos && at + 1 < data.size(); at = data.find('\xff', at + 1)) {
    const auto code = static_cast<unsigned char>(data[at + 1]);
    if (code > 0x01 && code != 0xFF && (code < 0xD0 || code > 0xD7)) return at + 2;
  }
  return 0;
}

/// Markers are followed from one to the next (ITU T.81, annex B), so that the end of a thumbnail is not taken for the
/// file's own, and what stands behind the end is not looked at.
Head jpeg_head(const fs::path& path, const std::string& data) {
  const Bytes bytes(data);
  Head head;
  std::uint64_t num_values = 0;
  bool ended = false;
  for (std::size_t at = behind_marker(data, 2); at > 0;) {
    const std::uint64_t code = bytes.at(at - 1, 1);
    ended = code == 0xD9 && num_values > 0;
    if (code == 0xD9 || at + 2 > data.size()) break;
    const std::size_t length = bytes.at(at, 2);
    if (length < 2 || at + length > data.size()) break;
    if (is_frame(code) && length >= 8 && head.bits == 0) {  // libjpeg, too, goes by the first
      head = {bytes.at(at + 5, 2), bytes.at(at + 3, 2), static_cast<unsigned int>(bytes.at(at + 2, 1))};
      num_values = bytes.at(at + 7, 1);
    }
    at = behind_marker(data, at + length);
  }
  if (!ended) {
    throw InputError(
        text(path.string(), ": truncated after ", data.size(), " bytes, its end is missing; copy it again"));
  }
  if (num_values != 1 && num_values != 3) {
    throw InputError(text(path.string(), ": ", num_values == 4 ? "CMYK" : text(num_values, " values a pixel"),
                          "; convert it to RGB or grey"));
  }
  return head;
}

/// Whether a chunk of a PNG says which of its colours are transparent; what texts say does not count.
bool is_transparent(const std::string& data) {
  const Bytes bytes(data);
  for (std::size_t at = kPng.size(); at + 8 <= data.size(); at += 12 + bytes.at(at, 4)) {
    if (data.compare(at + 4, 4, "tRNS") == 0) return true;
    if (data.compare(at + 4, 4, "IDAT") == 0) return false;
  }
  return false;
}

Head png_head(const fs::path& path, const std::string& data) {
  if (data.size() < 33 || data.compare(12, 4, "IHDR") != 0) {
    throw InputError(path.string() + ": damaged, no PNG header; copy it again");
  }
  const Bytes bytes(data);
  const std::uint64_t bits = bytes.at(24, 1), colours = bytes.at(25, 1);
  if (colours == 4 || (colours == 0 && is_transparent(data))) {
    throw InputError(path.string() + ": grey with transparency; save it as RGB, or as grey without it");
  }
  return {bytes.at(16, 4), bytes.at(20, 4), bits > 8 ? static_cast<unsigned int>(bits) : 8};  // fewer: 8 when read
}

std::string content_of(const fs::path& path) {
  if (!is_utf8(path.string())) throw InputError("the name of a photo, " + path.string() + ", is not UTF-8; rename it");
  std::error_code unreadable;
  if (!fs::is_regular_file(path, unreadable)) throw InputError(path.string() + ": no such file");
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  if (!file) throw InputError(text(path.string(), ": cannot be read (", std::strerror(errno), ")"));
  return content.str();
}

bool is_png(const std::string& data) { return data.compare(0, kPng.size(), kPng) == 0; }

/// Throws InputError for what must not be decoded: a cut JPEG, of which libjpeg fills the rest with grey, and what
/// would come out wrong or too large.
void check(const fs::path& path, const std::string& data) {
  if (!is_png(data) && data.compare(0, kJpeg.size(), kJpeg) != 0) {
    throw InputError(path.string() + ": neither JPEG nor PNG, by its first bytes; convert it");
  }
  const Head head = is_png(data) ? png_head(path, data) : jpeg_head(path, data);
  if (head.bits != 8) throw InputError(text(path.string(), ": ", head.bits, " bits a value; save it with 8"));
  if (head.width == 0 || head.height == 0 || head.height > kMostPixels / head.width) {
    throw InputError(text(path.string(), ": ", head.width, "×", head.height, " pixels; 1 to ", kMostPixels,
                          " are taken, make it smaller"));
  }
}

}  // namespace

Photo read_photo(const fs::path& path) {
  const std::string data = content_of(path);
  check(path, data);
  try {
    return is_png(data) ? decode_png(data) : decode_jpeg(data);
  } catch (const InputError& error) {
    throw InputError(text(path.string(), ": it cannot be decoded (", error.what(), "); copy it again"));
  }
}

}  // namespace mindvoxel
