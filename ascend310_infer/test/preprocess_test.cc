#include "preprocess.h"

#include <gtest/gtest.h>

#include "crop.h"
#include "errors.h"
#include "preprocess_ways.h"

namespace mindvoxel {
namespace {

Image image_of(const Shape& shape, std::size_t channels = 1) {
  return {std::vector<float>(channels * num_voxels(shape), 0.0F), channels, shape};
}

float& at(Image& image, std::size_t c, std::size_t z, std::size_t y, std::size_t x) {
  return image.channel(c)[(z * image.shape[1] + y) * image.shape[2] + x];
}

TEST(Crop, TheBoxHoldsEveryChannel) {
  Image image = image_of({5, 6, 7}, 2);
  at(image, 0, 1, 2, 3) = -1;
  at(image, 1, 3, 1, 5) = 4;
  const Box both = nonzero_box(image, false, 3), positive = nonzero_box(image, true, 3);
  EXPECT_EQ(both.start, (Shape{1, 1, 3}));
  EXPECT_EQ(both.shape, (Shape{3, 2, 3}));
  EXPECT_EQ(positive.start, (Shape{3, 1, 5}));
  EXPECT_EQ(positive.shape, (Shape{1, 1, 1}));
}

TEST(Crop, AnEmptyImageStaysWhole) {
  const Box box = nonzero_box(image_of({5, 6, 7}), false, 2);
  EXPECT_EQ(box.start, (Shape{0, 0, 0}));
  EXPECT_EQ(box.shape, (Shape{5, 6, 7}));
}

TEST(Crop, CutAndPermuteByHand) {
  std::vector<float> voxels(2 * 3 * 4);
  for (std::size_t i = 0; i < voxels.size(); ++i) voxels[i] = static_cast<float>(i);
  const Box box{{0, 1, 1}, {2, 2, 2}};  // 5 6 9 10, 17 18 21 22
  EXPECT_EQ(cut(voxels.data(), {2, 3, 4}, box, {0, 1, 2}, 2), (std::vector<float>{5, 6, 9, 10, 17, 18, 21, 22}));
  EXPECT_EQ(cut(voxels.data(), {2, 3, 4}, box, {2, 0, 1}, 2), (std::vector<float>{5, 9, 17, 21, 6, 10, 18, 22}));
}

/// A shell of ones around a hole.
std::vector<float> shell() {
  std::vector<float> voxels(5 * 5 * 5, 0.0F);
  for (std::size_t z = 0; z < 5; ++z) {
    for (std::size_t y = 0; y < 5; ++y) {
      for (std::size_t x = 0; x < 5; ++x) {
        const bool inner = z > 0 && z < 4 && y > 0 && y < 4 && x > 0 && x < 4;
        voxels[(z * 5 + y) * 5 + x] = inner && !(z == 2 && y == 2 && x == 2) ? 1 : 0;
      }
    }
  }
  return voxels;
}

TEST(Crop, AHoleIsFilledAndAnOpenOneIsNot) {
  auto voxels = shell();
  EXPECT_EQ(nonzero_mask({voxels}, {5, 5, 5}, 2)[62], 1);
  EXPECT_EQ(nonzero_mask({voxels}, {5, 5, 5}, 2)[0], 0);
  auto open = voxels;
  open[37] = 0;  // (1, 2, 2): the hole now reaches the outside through a face
  EXPECT_EQ(nonzero_mask({open}, {5, 5, 5}, 2)[62], 0);
  auto corner = voxels;
  corner[31] = 0;  // (1, 1, 1): it would only through a corner
  EXPECT_EQ(nonzero_mask({corner}, {5, 5, 5}, 2)[62], 1);
}

TEST(NewShape, RoundsHalfToEven) {
  const Spacing old_mm{1, 1, 1}, new_mm{2, 2, 2};
  EXPECT_EQ(new_shape({5, 7, 1}, old_mm, new_mm, "round"), (Shape{2, 4, 1}));  // 2.5, 3.5, 0.5
  EXPECT_EQ(new_shape({5, 7, 1}, old_mm, new_mm, "floor"), (Shape{2, 3, 1}));
}

TEST(NewShape, RefusesWhatNoMemoryHolds) {
  EXPECT_THROW(new_shape({512, 512, 300}, {1, 1, 1}, {0.1, 0.1, 0.1}, "round"), InputError);
  EXPECT_THROW(new_shape({512, 512, 300}, {1e300, 1, 1}, {1e-300, 1, 1}, "round"), InputError);
}

TEST(AnisotropicAxis, AboveThreeTakesTheCoarsest) {
  EXPECT_EQ(anisotropic_axis({3, 1, 1}, {1, 1, 1}, "above_3"), -1);
  EXPECT_EQ(anisotropic_axis({3.1, 1, 1}, {1, 1, 1}, "above_3"), 0);
  EXPECT_EQ(anisotropic_axis({1, 1, 1}, {1, 1, 4}, "above_3"), 2);
  EXPECT_EQ(anisotropic_axis({4, 4, 1}, {1, 1, 9}, "above_3"), -1);  // two are equally coarse
}

TEST(AnisotropicAxis, FromThreeTakesTheFirst) {
  EXPECT_EQ(anisotropic_axis({1, 3, 1}, {1, 1, 1}, "from_3"), 0);
  EXPECT_EQ(anisotropic_axis({1, 1, 1}, {1, 1, 3}, "from_3"), 0);
  EXPECT_EQ(anisotropic_axis({1, 2.9, 1}, {1, 1, 1}, "from_3"), -1);
}

Bundle vnet(bool centre_crop) {
  Bundle bundle;
  bundle.channels = {"MRI"};
  bundle.preprocessing.way = "scan";
  bundle.preprocessing.spacing_mm = {1, 1, 1};
  bundle.preprocessing.min_shape = {4, 4, 4};
  bundle.preprocessing.centre_crop = centre_crop;
  return bundle;
}

/// 3 × 5 × 6 voxels of 2 × 1 × 1 mm, growing along x.
Scan scan() {
  Scan scan{image_of({3, 5, 6}), {}};
  scan.geometry.spacing_mm = {2, 1, 1};
  for (std::size_t i = 0; i < 90; ++i) scan.image.voxels[i] = static_cast<float>(i % 6);
  return scan;
}

TEST(PreprocessScan, CoversTheScanAndComesBack) {
  const Prepared found = preprocess(vnet(false), scan(), 2);
  EXPECT_EQ(found.image.shape, (Shape{5, 5, 6}));  // to the centre of the last voxel
  const auto back = restore_scan(std::vector<float>(150, 1.0F), found.grid, "linear", 2);
  EXPECT_EQ(back, std::vector<float>(90, 1.0F));
}

TEST(PreprocessScan, TheMiddleOfThePublishedGrid) {
  const Prepared found = preprocess(vnet(true), scan(), 2);
  EXPECT_EQ(found.grid.shape, (Shape{6, 5, 6}));  // floor(3 · 2), past the last centre
  EXPECT_EQ(found.grid.crop_start, (Shape{1, 0, 1}));
  EXPECT_EQ(found.image.shape, (Shape{4, 4, 4}));
  const auto back = restore_scan(std::vector<float>(64, 1.0F), found.grid, "nearest", 2);
  EXPECT_EQ(back[30], 0);  // slice 1, first row: x = 0 lies before the box
  EXPECT_EQ(back[31], 1);
  EXPECT_EQ(back[30 + 4 * 6 + 1], 0);  // row 4 lies behind it
}

TEST(Preprocess, AnotherNumberOfChannelsIsRefused) {
  Bundle bundle = vnet(false);
  bundle.channels = {"T1", "T2"};
  EXPECT_THROW(preprocess(bundle, scan(), 1), InputError);
}

}  // namespace
}  // namespace mindvoxel
