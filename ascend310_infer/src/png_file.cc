#include "png_file.h"

#include <png.h>

#include <array>
#include <csetjmp>
#include <cstring>

#include "errors.h"

namespace mindvoxel {
namespace {

/// Bytes that are read one after the other, and why libpng gave up.
struct Source {
  const std::string& data;
  std::size_t place = 0;
  std::array<char, 200> reason{};
};

void read_bytes(png_structp png, png_bytep to, std::size_t count) {
  auto* source = static_cast<Source*>(png_get_io_ptr(png));
  if (count > source->data.size() - source->place) png_error(png, "it ends too early");
  std::memcpy(to, source->data.data() + source->place, count);
  source->place += count;
}

[[noreturn]] void give_up(png_structp png, png_const_charp reason) {
  auto* source = static_cast<Source*>(png_get_error_ptr(png));
  std::strncpy(source->reason.data(), reason, source->reason.size() - 1);
  png_longjmp(png, 1);
}

void say_nothing(png_structp, png_const_charp) {}

class Decoder {
 public:
  explicit Decoder(const std::string& data) : source_{data} {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, &source_, give_up, say_nothing);
    info_ = png_ ? png_create_info_struct(png_) : nullptr;
  }
  ~Decoder() { png_destroy_read_struct(&png_, &info_, nullptr); }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  Photo decode() {
    if (info_ == nullptr) throw WorkError("libpng cannot be started; is memory short?");
    guarded([&] {
      png_set_read_fn(png_, &source_, read_bytes);
      png_read_info(png_, info_);
      png_set_expand(png_);
      png_set_strip_alpha(png_);
      png_set_gray_to_rgb(png_);
      png_set_interlace_handling(png_);
      png_read_update_info(png_, info_);
    });
    Photo photo{{}, png_get_image_height(png_, info_), png_get_image_width(png_, info_)};
    const std::size_t row_bytes = 3 * photo.width;
    if (png_get_rowbytes(png_, info_) != row_bytes) throw InputError("its pixels are not what its header says");
    photo.pixels.resize(row_bytes * photo.height);
    std::vector<png_bytep> rows(photo.height);
    for (std::size_t y = 0; y < photo.height; ++y) rows[y] = photo.pixels.data() + y * row_bytes;
    guarded([&] {
      png_read_image(png_, rows.data());
      png_read_end(png_, nullptr);
    });
    return photo;
  }

 private:
  /// What `work` makes must need no destructor: libpng leaves it by a jump.
  template <typename Work>
  void guarded(const Work& work) {
    if (setjmp(png_jmpbuf(png_)) != 0) throw InputError(source_.reason.data());
    work();
  }

  Source source_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
};

}  // namespace

Photo decode_png(const std::string& data) { return Decoder(data).decode(); }

}  // namespace mindvoxel
