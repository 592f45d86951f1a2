#include "normalize.h"

#include <gtest/gtest.h>

#include "errors.h"

namespace mindvoxel {
namespace {

std::vector<float> scaled(const Normalization& rule, std::vector<float> voxels,
                          const std::vector<unsigned char>& mask = {}) {
  normalize(rule, voxels, mask, 2);
  return voxels;
}

TEST(Normalize, CtIsCutAndScored) {
  Normalization rule;
  rule.scheme = "ct";
  rule.low = -10;
  rule.high = 30;
  rule.mean = 10;
  rule.sd = 5;
  EXPECT_EQ(scaled(rule, {-1000, -10, 10, 25, 31}), (std::vector<float>{-4, -4, 0, 3, 4}));
}

TEST(Normalize, ZscoreOverAll) {
  EXPECT_EQ(scaled({"zscore"}, {2, 4, 4, 4, 5, 5, 7, 9}), (std::vector<float>{-1.5, -.5, -.5, -.5, 0, 0, 1, 2}));
}

TEST(Normalize, AConstantImageBecomesZero) {
  EXPECT_EQ(scaled({"zscore"}, {7, 7, 7}), (std::vector<float>{0, 0, 0}));
  EXPECT_EQ(scaled({"rescale"}, {7, 7, 7}), (std::vector<float>{0, 0, 0}));
}

TEST(Normalize, ZscoreWithinAMaskAndZeroOutside) {
  EXPECT_EQ(scaled({"zscore_mask"}, {1000, 1, 3, 1000}, {0, 1, 1, 0}), (std::vector<float>{0, -1, 1, 0}));
  EXPECT_EQ(scaled({"zscore_mask"}, {5, 6}, {0, 0}), (std::vector<float>{0, 0}));
}

TEST(Normalize, RescaleAndColours) {
  EXPECT_EQ(scaled({"rescale"}, {-2, 0, 6}), (std::vector<float>{0, 0.25, 1}));
  EXPECT_EQ(scaled({"rgb"}, {0, 51, 255}), (std::vector<float>{0, 0.2F, 1}));
  EXPECT_THROW(scaled({"rgb"}, {0, 256}), InputError);
  EXPECT_THROW(scaled({"rgb"}, {-1, 25}), InputError);
  EXPECT_EQ(scaled({"none"}, {-1, 25}), (std::vector<float>{-1, 25}));
}

TEST(Normalize, LongSumsLoseNoDigit) {
  std::vector<float> voxels(3 << 20, 1000.75F);  // a float32 sum of them would be far off
  for (std::size_t i = 0; i < voxels.size(); i += 2) voxels[i] = 1000.25F;
  normalize({"zscore"}, voxels, {}, 2);
  EXPECT_FLOAT_EQ(voxels[0], -1);
  EXPECT_FLOAT_EQ(voxels[1], 1);
}

TEST(RescaleUnit, ReachesBothEnds) {
  std::vector<float> voxels{-4, 0, 12};
  rescale_unit(voxels);
  EXPECT_EQ(voxels, (std::vector<float>{0, 0.25, 1}));
  std::vector<float> constant{3, 3};
  EXPECT_THROW(rescale_unit(constant), InputError);
}

TEST(ZscorePositive, CountsVoxelsAboveZeroAndChangesAll) {
  std::vector<float> voxels{0, -9, 1, 3};
  zscore_positive(voxels);
  EXPECT_EQ(voxels, (std::vector<float>{-2, -11, -1, 1}));
  std::vector<float> constant{0, 5, 5}, empty{0, -1};
  EXPECT_THROW(zscore_positive(constant), InputError);
  EXPECT_THROW(zscore_positive(empty), InputError);
}

}  // namespace
}  // namespace mindvoxel
