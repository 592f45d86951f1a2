#include "jpeg_file.h"

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstdio>
#include <new>
// after cstdio, which they need
#include <jpeglib.h>
// after jpeglib.h
#include <jerror.h>

#include "errors.h"

namespace mindvoxel {
namespace {

constexpr unsigned int kBlock = 8;      // pixels along a side of what is transformed at once
constexpr std::size_t kMostRows = 16;   // of a component in one step: 2 blocks of 8, or 1 of 16
constexpr int kLuma = 0, kColours = 3;  // components

/// What libjpeg does where it gives up: it must not return.
struct Fault {
  jpeg_error_mgr base;
  std::jmp_buf jump;
  std::array<char, JMSG_LENGTH_MAX> reason;
};

[[noreturn]] void give_up(j_common_ptr state) {
  auto* fault = reinterpret_cast<Fault*>(state->err);  // its first member
  fault->base.format_message(state, fault->reason.data());
  std::longjmp(fault->jump, 1);
}

void say_nothing(j_common_ptr) {}

/// Component by component, (rows, width); `side`: of its blocks, pixels.
struct Planes {
  std::array<std::vector<JSAMPLE>, kColours> values;
  std::array<std::size_t, kColours> width{};
  std::array<unsigned int, kColours> side{kBlock, kBlock, kBlock};
};

/// One pass through a file.
class Decoder {
 public:
  Decoder() {
    state_.err = jpeg_std_error(&fault_.base);
    fault_.base.error_exit = give_up;
    fault_.base.output_message = say_nothing;  // a warning: Python's reader passes over it, too
  }
  ~Decoder() { jpeg_destroy_decompress(&state_); }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  /// The first step; data must outlive this.
  const jpeg_decompress_struct& read_header(const std::string& data) {
    guarded([&] {
      jpeg_create_decompress(&state_);
      auto* bytes = reinterpret_cast<unsigned char*>(const_cast<char*>(data.data()));
      jpeg_mem_src(&state_, bytes, static_cast<unsigned long>(data.size()));
      jpeg_read_header(&state_, TRUE);
    });
    return state_;
  }

  /// All pixels, (rows, width, 3) RGB, as libjpeg has them.
  void decode(std::vector<JSAMPLE>& pixels) {
    guarded([&] {
      state_.out_color_space = JCS_RGB;
      jpeg_start_decompress(&state_);
      while (state_.output_scanline < state_.output_height) {
        JSAMPROW row = pixels.data() + 3 * std::size_t{state_.output_scanline} * state_.image_width;
        jpeg_read_scanlines(&state_, &row, 1);
      }
    });
  }

  /// Write those components whose blocks have `side` pixels.
  void decode(unsigned int side, Planes& planes) {
    guarded([&] {
      state_.raw_data_out = TRUE;
      state_.scale_num = side;
      state_.scale_denom = kBlock;
      for (int c = 0; c < kColours; ++c)
        state_.comp_info[c].component_needed = planes.side[at(c)] == side ? TRUE : FALSE;
      jpeg_start_decompress(&state_);
    });
    for (int c = 0; c < kColours; ++c) {
      const jpeg_component_info& part = state_.comp_info[c];
      if (planes.side[at(c)] != side) continue;
      planes.width[at(c)] = std::size_t{part.width_in_blocks} * side;
      planes.values[at(c)].resize(planes.width[at(c)] * state_.total_iMCU_rows * rows_of(c, side));
    }
    guarded([&] {
      for (std::size_t step = 0; step < state_.total_iMCU_rows; ++step) read_step(step, side, planes);
    });
  }

 private:
  static std::size_t at(int component) { return static_cast<std::size_t>(component); }

  /// Of a component, in one step.
  std::size_t rows_of(int component, unsigned int side) const {
    return static_cast<std::size_t>(state_.comp_info[component].v_samp_factor) * side;
  }

  void read_step(std::size_t step, unsigned int side, Planes& planes) {
    JSAMPROW rows[kColours][kMostRows];
    JSAMPARRAY parts[kColours] = {nullptr, nullptr, nullptr};
    for (int c = 0; c < kColours; ++c) {
      if (planes.side[at(c)] != side) continue;
      const std::size_t count = rows_of(c, side);
      JSAMPLE* first = planes.values[at(c)].data() + step * count * planes.width[at(c)];
      for (std::size_t row = 0; row < count; ++row) rows[c][row] = first + row * planes.width[at(c)];
      parts[c] = rows[c];
    }
    jpeg_read_raw_data(&state_, parts, static_cast<JDIMENSION>(rows_of(kLuma, side)));
  }

  /// What `work` makes must need no destructor: libjpeg leaves it by a jump.
  template <typename Work>
  void guarded(const Work& work) {
    if (setjmp(fault_.jump) == 0) return work();
    if (fault_.base.msg_code == JERR_OUT_OF_MEMORY) throw std::bad_alloc();
    throw InputError(fault_.reason.data());
  }

  jpeg_decompress_struct state_{};
  Fault fault_{};
};

/// ITU T.871 in 16 bits behind the point, by the digits of libjpeg 9; libjpeg-turbo has fewer, and now and
/// then a green that is one off.
void to_rgb(const Planes& planes, Photo& photo) {
  constexpr int kHalf = 1 << 15;
  const auto clip = [](int value) { return static_cast<std::uint8_t>(std::clamp(value, 0, 255)); };
  std::uint8_t* pixel = photo.pixels.data();
  for (std::size_t y = 0; y < photo.height; ++y) {
    const auto row = [&](std::size_t c) { return planes.values[c].data() + y * planes.width[c]; };
    const JSAMPLE *luma = row(0), *blue = row(1), *red = row(2);
    for (std::size_t x = 0; x < photo.width; ++x, pixel += 3) {
      const int b = blue[x] - 128, r = red[x] - 128;
      pixel[0] = clip(luma[x] + ((91881 * r + kHalf) >> 16));               // 1.402
      pixel[1] = clip(luma[x] + ((-22553 * b - 46802 * r + kHalf) >> 16));  // 0.344136286, 0.714136286
      pixel[2] = clip(luma[x] + ((116130 * b + kHalf) >> 16));              // 1.772
    }
  }
}

/// How many of the luma's pixels stand in one of the colours' along each side: 1 or 2; 0: none of these.
unsigned int ratio_of(const jpeg_decompress_struct& head) {
  if (head.num_components != kColours || head.jpeg_color_space != JCS_YCbCr) return 0;
  for (int c = 1; c < kColours; ++c) {
    if (head.comp_info[c].h_samp_factor != 1 || head.comp_info[c].v_samp_factor != 1) return 0;
  }
  const int across = head.comp_info[kLuma].h_samp_factor, down = head.comp_info[kLuma].v_samp_factor;
  return across == down && across <= 2 ? static_cast<unsigned int>(across) : 0;
}

}  // namespace

Photo decode_jpeg(const std::string& data) {
  Photo photo;
  Planes planes;
  {
    Decoder decoder;
    const jpeg_decompress_struct& head = decoder.read_header(data);
    photo.height = head.image_height;
    photo.width = head.image_width;
    photo.pixels.resize(3 * photo.height * photo.width);
    const unsigned int ratio = ratio_of(head);
    if (ratio == 0) {
      decoder.decode(photo.pixels);
      return photo;
    }
    planes.side[1] = planes.side[2] = ratio * kBlock;
    decoder.decode(kBlock, planes);
  }
  if (planes.side[1] != kBlock) {
    Decoder decoder;
    decoder.read_header(data);
    decoder.decode(planes.side[1], planes);
  }
  to_rgb(planes, photo);
  return photo;
}

}  // namespace mindvoxel
