#include "windows.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace mindvoxel {
namespace {

using Starts = std::vector<std::size_t>;

TEST(WindowStarts, OneWindowWhereItIsTheAxis) {
  EXPECT_EQ(window_starts(8, 8, 0.5, true), (Starts{0}));
  EXPECT_EQ(window_starts(8, 8, 0.5, false), (Starts{0}));
}

TEST(WindowStarts, SpreadEvenlyHalvesToTheEven) {
  EXPECT_EQ(window_starts(16, 8, 0.5, true), (Starts{0, 4, 8}));
  EXPECT_EQ(window_starts(13, 8, 0.5, true), (Starts{0, 2, 5}));  // 2.5 is rounded to 2
  EXPECT_EQ(window_starts(15, 8, 0.5, true), (Starts{0, 4, 7}));  // 3.5 to 4
  EXPECT_EQ(window_starts(60, 28, 0.25, true), (Starts{0, 16, 32}));
}

TEST(WindowStarts, FixedStepsAndTheLastMovedBack) {
  EXPECT_EQ(window_starts(21, 8, 0.25, false), (Starts{0, 6, 12, 13}));
  EXPECT_EQ(window_starts(20, 8, 0.25, false), (Starts{0, 6, 12}));
  EXPECT_EQ(window_starts(10, 7, 0.25, false), (Starts{0, 3}));  // a step of 5.25 is 5
}

TEST(WindowStarts, AStepIsOneVoxelAtLeast) { EXPECT_EQ(window_starts(4, 1, 0.9, true), (Starts{0, 1, 2, 3})); }

TEST(WindowBoxes, TheLastAxisIsFastest) {
  const std::vector<Shape> boxes = window_boxes({4, 3, 6}, {4, 2, 4}, 0.5, true);
  EXPECT_EQ(boxes, (std::vector<Shape>{{0, 0, 0}, {0, 0, 2}, {0, 1, 0}, {0, 1, 2}}));
}

TEST(BlendWeight, AGaussianAroundTheMiddle) {
  const std::vector<float> weight = blend_weight({1, 1, 8}, "nnunet");  // deviation 1 around voxel 4
  EXPECT_FLOAT_EQ(weight[4], 1);
  EXPECT_FLOAT_EQ(weight[5], std::exp(-0.5f));
  EXPECT_FLOAT_EQ(weight[3], std::exp(-0.5f));
  EXPECT_FLOAT_EQ(weight[0], std::exp(-8.0f));
  const std::vector<float> even = blend_weight({1, 1, 8}, "gaussian");  // around 3.5
  EXPECT_FLOAT_EQ(even[3], 1);
  EXPECT_FLOAT_EQ(even[4], 1);
  EXPECT_FLOAT_EQ(even[5], std::exp(-0.5f * (2.25f - 0.25f)));
  EXPECT_FLOAT_EQ(even[0], 2.4787522e-3f);  // exp(-0.5 (12.25 - 0.25)), above the least
  const std::vector<float> root = blend_weight({1, 1, 8}, "nvidia");
  EXPECT_FLOAT_EQ(root[5], std::cbrt(even[5]));
}

TEST(BlendWeight, NoVoxelCountsNothing) {
  const std::vector<float> v_net = blend_weight({9, 9, 9}, "gaussian");
  EXPECT_FLOAT_EQ(*std::min_element(v_net.begin(), v_net.end()), 1e-3f);
  const std::vector<float> large = blend_weight({64, 64, 64}, "nnunet");  // corners: exp(-24), above 0 in float
  EXPECT_GT(*std::min_element(large.begin(), large.end()), 0);
  const std::vector<float> constant = blend_weight({2, 3, 4}, "constant");
  EXPECT_EQ(constant, std::vector<float>(24, 1.0f));
}

TEST(Flips, AllCombinationsTheUnmirroredFirst) {
  using Flip = std::array<bool, 3>;
  EXPECT_EQ(flips({}, 3), (std::vector<Flip>{{false, false, false}}));
  EXPECT_EQ(
      flips({0, 2}, 3),
      (std::vector<Flip>{{false, false, false}, {false, false, true}, {true, false, false}, {true, false, true}}));
  EXPECT_EQ(flips({0}, 2), (std::vector<Flip>{{false, false, false}, {false, true, false}}));
}

}  // namespace
}  // namespace mindvoxel
