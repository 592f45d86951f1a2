#include "segment.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace mindvoxel {
namespace {

/// Of two classes the second where a voxel is above 0.
class Threshold : public Engine {
 public:
  explicit Threshold(std::size_t voxels) : voxels_(voxels) {}
  void run(const float* window, float* logits) override {
    std::fill_n(logits, voxels_, 0.0f);
    std::copy_n(window, voxels_, logits + voxels_);
  }
  std::string describe() const override { return "threshold"; }

 private:
  const std::size_t voxels_;
};

Bundle two_classes() {
  Bundle bundle;
  bundle.channels = {"MRI"};
  bundle.label_values = {3, 7};
  bundle.preprocessing.way = "planned";
  bundle.preprocessing.anisotropy = "above_3";
  bundle.sliding.window = {2, 2, 2};
  bundle.sliding.blend = "constant";
  bundle.sliding.average = "logits";
  bundle.sliding.tta_axes = {0, 1, 2};
  return bundle;
}

/// An image of -1 with some voxels of 1, on a crop of a scan of shape (6, 5, 4) whose axes are permuted.
Prepared permuted_crop() {
  Prepared prepared;
  Grid& grid = prepared.grid;
  grid.source_shape = {6, 5, 4};
  grid.geometry.spacing_mm = {1, 2, 2.5};
  grid.geometry.origin_mm = {-7, 8, 9};
  grid.axes = {2, 0, 1};  // network z is scan x, network y scan z, network x scan y
  grid.crop_start = {1, 2, 0};
  grid.crop_shape = grid.shape = {2, 3, 4};
  grid.spacing_mm = {2.5, 1, 2};
  prepared.image = {std::vector<float>(24, -1.0f), 1, {2, 3, 4}};
  return prepared;
}

TEST(Segment, LabelsLieOnTheAxesOfTheScan) {
  Prepared prepared = permuted_crop();
  prepared.image.voxels[(1 * 3 + 2) * 4 + 3] = 1;  // network (1, 2, 3), of the scan (2 + 2, 0 + 3, 1 + 1)
  prepared.image.voxels[0] = 1;                    // the corner of the crop: (2, 0, 1)
  Threshold engine(8);
  const Labels labels = segment(two_classes(), prepared, engine, false, 2, [] {});
  EXPECT_EQ(labels.shape, (Shape{6, 5, 4}));
  EXPECT_EQ(labels.geometry.origin_mm, prepared.grid.geometry.origin_mm);
  EXPECT_EQ(labels.geometry.spacing_mm, prepared.grid.geometry.spacing_mm);
  std::vector<std::int16_t> expected(120, 3);
  expected[(4 * 5 + 3) * 4 + 2] = 7;
  expected[(2 * 5 + 0) * 4 + 1] = 7;
  EXPECT_EQ(labels.voxels, expected);
  EXPECT_TRUE(labels.fit_uint8);
  Bundle wide = two_classes();
  wide.label_values = {3, 256};
  EXPECT_FALSE(segment(wide, prepared, engine, false, 2, [] {}).fit_uint8);
}

TEST(Segment, TicksAfterEachCall) {
  const Prepared prepared = permuted_crop();
  const Bundle bundle = two_classes();
  for (const bool tta : {false, true}) {
    Threshold engine(8);
    std::size_t ticks = 0;
    segment(bundle, prepared, engine, tta, 1, [&] { ++ticks; });
    EXPECT_EQ(ticks, (tta ? 8u : 1u) * 1 * 2 * 3);  // steps of 1 over axes of 2, 3 and 4
  }
}

TEST(Segment, ResampledBackToTheCrop) {
  Prepared prepared = permuted_crop();
  prepared.grid.shape = prepared.image.shape = {2, 3, 2};  // half as many voxels along the last axis
  prepared.grid.spacing_mm = {2.5, 1, 4};
  prepared.image.voxels = {-1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1};
  Threshold engine(8);
  const Labels labels = segment(two_classes(), prepared, engine, false, 1, [] {});
  for (std::size_t z = 2; z < 5; ++z) {  // -1, -0.5, 0.5, 1 along scan y
    for (std::size_t y = 0; y < 5; ++y) {
      for (std::size_t x = 1; x < 3; ++x) {
        EXPECT_EQ(labels.voxels[(z * 5 + y) * 4 + x], y == 2 || y == 3 ? 7 : 3) << z << y << x;
      }
    }
  }
}

TEST(Segment, TheForegroundFromOneHalfOn) {
  Bundle bundle = two_classes();
  bundle.preprocessing.way = "scan";
  bundle.preprocessing.restore_order = "linear";
  bundle.sliding.average = "foreground";
  Prepared prepared;
  Grid& grid = prepared.grid;
  grid.source_shape = grid.shape = grid.crop_shape = {2, 2, 3};
  grid.crop_start = {0, 0, 0};
  grid.spacing_mm = {1, 1, 1};
  prepared.image = {{-1, 0, 1, 2, -2, -0.5f, 0.5f, 0, 0, 9, -9, 0}, 1, {2, 2, 3}};
  Threshold engine(8);
  const Labels labels = segment(bundle, prepared, engine, false, 1, [] {});
  EXPECT_EQ(labels.voxels, (std::vector<std::int16_t>{3, 7, 7, 7, 3, 3, 7, 7, 7, 7, 3, 7}));  // 0: exactly one half
}

}  // namespace
}  // namespace mindvoxel
