// libjpeg and libpng leave a damaged file by a jump: it must end one photo, and nothing else.
#include <gtest/gtest.h>
#include <png.h>

#include <cstdio>
#include <cstdlib>
// after cstdio, which it needs
#include <jpeglib.h>

#include "errors.h"
#include "photo.h"
#include "temporary.h"

namespace mindvoxel {
namespace {

constexpr unsigned int kHeight = 21, kWidth = 35;

std::vector<std::uint8_t> some_pixels() {
  std::vector<std::uint8_t> pixels;
  for (unsigned int i = 0; i < 3 * kHeight * kWidth; ++i) pixels.push_back(static_cast<std::uint8_t>(i * i / 7));
  return pixels;
}

/// Colours at half size.
std::string a_jpeg(bool progressive) {
  jpeg_compress_struct state{};
  jpeg_error_mgr errors{};
  state.err = jpeg_std_error(&errors);
  jpeg_create_compress(&state);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&state, &bytes, &size);
  state.image_width = kWidth;
  state.image_height = kHeight;
  state.input_components = 3;
  state.in_color_space = JCS_RGB;
  jpeg_set_defaults(&state);
  if (progressive) jpeg_simple_progression(&state);
  jpeg_start_compress(&state, TRUE);
  std::vector<std::uint8_t> pixels = some_pixels();
  for (unsigned int y = 0; y < kHeight; ++y) {
    JSAMPROW row = pixels.data() + 3 * y * kWidth;
    jpeg_write_scanlines(&state, &row, 1);
  }
  jpeg_finish_compress(&state);
  jpeg_destroy_compress(&state);
  std::string data(reinterpret_cast<char*>(bytes), size);
  std::free(bytes);
  return data;
}

std::string a_png() {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = kWidth;
  image.height = kHeight;
  image.format = PNG_FORMAT_RGB;
  const std::vector<std::uint8_t> pixels = some_pixels();
  std::string data(2 * pixels.size(), '\0');
  png_alloc_size_t size = data.size();
  EXPECT_NE(png_image_write_to_memory(&image, data.data(), &size, 0, pixels.data(), 0, nullptr), 0);
  data.resize(size);
  return data;
}

/// Whether a file of these bytes is decoded; else it is refused, in one line.
bool decodes(const TemporaryFolder& folder, const std::string& data) {
  const std::filesystem::path path = folder.path / "photo";
  std::filesystem::remove(path);  // to write over a file takes long
  write_text(path, data);
  try {
    const Photo photo = read_photo(path);
    EXPECT_EQ(photo.pixels.size(), 3 * photo.height * photo.width);
    return true;
  } catch (const InputError& error) {
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    return false;
  }
}

/// Of the files in which one byte is another: how many are decoded.
std::size_t num_decoded(const std::string& data) {
  const TemporaryFolder folder;
  std::size_t count = 0;
  for (std::size_t at = 0; at < data.size(); ++at) {
    std::string damaged = data;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << at % 8));
    count += decodes(folder, damaged) ? 1 : 0;
  }
  return count;
}

TEST(DamagedPhoto, AByteOfAJpeg) {
  for (const bool progressive : {false, true}) {
    const std::string data = a_jpeg(progressive);
    const std::size_t count = num_decoded(data);
    EXPECT_GT(count, data.size() / 2);  // what stands inside the compressed pixels
    EXPECT_LT(count, data.size());
  }
}

TEST(DamagedPhoto, AByteOfAPngIsFoundByItsChecksum) {
  EXPECT_LE(num_decoded(a_png()), 13u);  // the chunk of the colour space, which is passed over
}

TEST(DamagedPhoto, EveryCutIsFound) {
  const TemporaryFolder folder;
  for (const std::string& data : {a_jpeg(false), a_jpeg(true), a_png()}) {
    EXPECT_TRUE(decodes(folder, data));
    for (std::size_t size = 0; size < data.size(); ++size) {
      EXPECT_FALSE(decodes(folder, data.substr(0, size))) << size << " of " << data.size();
    }
  }
}

}  // namespace
}  // namespace mindvoxel
