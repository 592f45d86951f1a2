#include "photo.h"

#include <gtest/gtest.h>

#include "errors.h"
#include "temporary.h"

namespace mindvoxel {
namespace {

PhotoForm form_of(std::size_t size, std::size_t short_side) {
  PhotoForm form;
  form.size = size;
  form.short_side = short_side;
  return form;
}

/// Of one row a colour: red as given, green 10 more, blue 20 more.
Photo row_of(const std::vector<std::uint8_t>& red, std::size_t height) {
  Photo photo{{}, height, red.size()};
  for (std::size_t y = 0; y < height; ++y) {
    for (const std::uint8_t one : red) {
      for (const int more : {0, 10, 20}) photo.pixels.push_back(static_cast<std::uint8_t>(one + more));
    }
  }
  return photo;
}

TEST(PreparePhoto, TheSameSizeIsACropAlone) {
  const Photo photo = row_of({1, 2, 3, 4, 5, 6, 7}, 4);  // 3 columns beside the square of 4: it starts at column 1
  const std::vector<float> image = prepare_photo(photo, form_of(4, 4));
  ASSERT_EQ(image.size(), 48u);
  for (std::size_t c = 0; c < 3; ++c) {
    for (std::size_t i = 0; i < 16; ++i) {
      EXPECT_EQ(image[16 * c + i], static_cast<float>(2 + i % 4 + 10 * c));
    }
  }
}

TEST(PreparePhoto, TwiceAsLargeLiesBetweenCentres) {
  const std::vector<float> image = prepare_photo(row_of({0, 40}, 2), form_of(4, 4));
  for (std::size_t y = 0; y < 4; ++y) {  // source columns -0.25, 0.25, 0.75, 1.25
    EXPECT_EQ(image[4 * y], 0.0F);
    EXPECT_EQ(image[4 * y + 1], 10.0F);
    EXPECT_EQ(image[4 * y + 2], 30.0F);
    EXPECT_EQ(image[4 * y + 3], 40.0F);
  }
}

TEST(PreparePhoto, SmallerIsNotSmoothed) {
  const std::vector<float> image = prepare_photo(row_of({0, 9, 90, 9, 0, 9}, 6), form_of(2, 2));
  EXPECT_EQ(image[0], 9.0F);  // column 1 of 6: 0.5 * 3 - 0.5
  EXPECT_EQ(image[1], 0.0F);  // column 4
}

TEST(PreparePhoto, TheLongerSideIsRoundedHalfUp) {
  // 4 high to 2: 5 wide to 2.5, that is 3, of which the square of 2 begins at 0: columns (0.5, 1.5) * 5 / 3 - 0.5
  const std::vector<float> image = prepare_photo(row_of({0, 30, 60, 90, 120}, 4), form_of(2, 2));
  EXPECT_NEAR(image[0], 10.0F, 1e-4);
  EXPECT_NEAR(image[1], 60.0F, 1e-4);
}

TEST(PreparePhoto, MeanAndDeviationOfEachColour) {
  PhotoForm form = form_of(1, 1);
  form.mean = {100, 10, 20};
  form.sd = {2, 4, 8};
  const std::vector<float> image = prepare_photo(row_of({104}, 1), form);
  EXPECT_EQ(image, (std::vector<float>{2, 26, 13}));
}

/// The message with which a file of these bytes is refused.
std::string refused(const std::string& bytes) {
  const TemporaryFolder folder;
  write_text(folder.path / "photo.jpg", bytes);
  try {
    read_photo(folder.path / "photo.jpg");
  } catch (const InputError& error) {
    const std::string said = error.what();
    const auto colon = said.find(": ");
    return said.find('\n') == std::string::npos && colon != std::string::npos ? said.substr(colon + 2) : "odd: " + said;
  }
  return "not refused";
}

std::string bytes_of(std::initializer_list<int> values) {
  std::string bytes;
  for (const int value : values) bytes += static_cast<char>(value);
  return bytes;
}

TEST(ReadPhoto, WhatIsNoPhoto) {
  const std::string png = bytes_of({0x89, 'P', 'N', 'G', 13, 10, 26, 10, 0, 0, 0, 13});
  EXPECT_EQ(refused(""), "neither JPEG nor PNG, by its first bytes; convert it");
  EXPECT_EQ(refused("\xff"), "neither JPEG nor PNG, by its first bytes; convert it");
  EXPECT_EQ(refused(png), "damaged, no PNG header; copy it again");
  EXPECT_EQ(refused(png + "IHDR" + std::string(30, '\0')), "0×0 pixels; 1 to 268435456 are taken, make it smaller");
  EXPECT_EQ(refused(png + "IHDR" + bytes_of({0, 0, 1, 0, 0, 0, 1, 0, 16, 2}) + std::string(30, ' ')),
            "16 bits a value; save it with 8");
  EXPECT_EQ(refused(png + "IHDR" + bytes_of({0, 0, 1, 0, 0, 0, 1, 0, 8, 4}) + std::string(30, ' ')),
            "grey with transparency; save it as RGB, or as grey without it");
}

TEST(ReadPhoto, JpegMarkersAreFollowed) {
  const std::string start = bytes_of({0xFF, 0xD8}), end = bytes_of({0xFF, 0xD9});
  // a thumbnail's end within a segment of 6 bytes, which is not the file's
  const std::string thumbnail = bytes_of({0xFF, 0xE1, 0, 6, 0xFF, 0xD9, 0, 0});
  const auto frame = [](int height, int values) { return bytes_of({0xFF, 0xC0, 0, 8, 8, height, 0, 0, 1, values}); };
  EXPECT_EQ(refused(start + thumbnail), "truncated after 10 bytes, its end is missing; copy it again");
  EXPECT_EQ(refused(start + end), "truncated after 4 bytes, its end is missing; copy it again");
  EXPECT_EQ(refused(start + bytes_of({0xFF, 0xE1, 0xFF, 0xFF})),
            "truncated after 6 bytes, its end is missing; copy it again");
  EXPECT_EQ(refused(start + bytes_of({0xFF, 0xE1, 0})), "truncated after 5 bytes, its end is missing; copy it again");
  EXPECT_EQ(refused(start + frame(1, 4) + end), "CMYK; convert it to RGB or grey");
  EXPECT_EQ(refused(start + frame(1, 2) + end), "2 values a pixel; convert it to RGB or grey");
  EXPECT_EQ(refused(start + frame(0, 3) + end), "1×0 pixels; 1 to 268435456 are taken, make it smaller");
  EXPECT_NE(refused(start + frame(1, 3) + end).find("it cannot be decoded ("), std::string::npos)
      << refused(start + frame(1, 3) + end);
  const std::string wide = bytes_of({0xFF, 0xC0, 0, 8, 8, 0xFF, 0xFF, 0xFF, 0xFF, 3});
  EXPECT_EQ(refused(start + wide + frame(1, 3) + end), "65535×65535 pixels; 1 to 268435456 are taken, make it smaller");
}

TEST(ReadPhoto, AFileThatIsNotThere) {
  EXPECT_THROW(read_photo("/nowhere/photo.jpg"), InputError);
  EXPECT_THROW(read_photo("/tmp"), InputError);
  EXPECT_THROW(read_photo("/tmp/\xff.jpg"), InputError);
}

}  // namespace
}  // namespace mindvoxel
