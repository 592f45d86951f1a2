#include "restore.h"

#include <gtest/gtest.h>

namespace mindvoxel {
namespace {

std::vector<std::vector<float>> resized(const std::vector<std::vector<float>>& planes, std::size_t num_classes,
                                        const Shape& shape, const Shape& new_shape, int nearest_axis) {
  std::vector<std::vector<float>> found;
  const std::size_t size = num_classes * new_shape[1] * new_shape[2];
  PlaneResizer resizer(num_classes, shape, new_shape, nearest_axis, 2,
                       [&](const float* plane) { found.emplace_back(plane, plane + size); });
  for (const auto& plane : planes) resizer.push(plane.data());
  return found;
}

TEST(AxisTaps, DoublingTakesQuarters) {
  const Taps taps = axis_taps(3, 6, false);  // places -0.25, 0.25, 0.75, 1.25, 1.75, 2.25
  EXPECT_EQ(taps.low, (std::vector<std::size_t>{0, 0, 0, 1, 1, 2}));
  EXPECT_EQ(taps.high, (std::vector<std::size_t>{1, 1, 1, 2, 2, 2}));
  EXPECT_EQ(taps.share, (std::vector<float>{0, 0.25f, 0.75f, 0.25f, 0.75f, 0}));
}

TEST(AxisTaps, NearestTakesTheLaterOfTwo) {
  const Taps taps = axis_taps(4, 2, true);  // places 0.5 and 2.5
  EXPECT_EQ(taps.low, (std::vector<std::size_t>{1, 3}));
  EXPECT_EQ(taps.high, taps.low);
}

TEST(PlaneResizer, TheSameGridPassesOn) {
  const std::vector<std::vector<float>> planes{{1, 2}, {3, 4}, {5, 6}};
  EXPECT_EQ(resized(planes, 1, {3, 1, 2}, {3, 1, 2}, -1), planes);
}

TEST(PlaneResizer, GrowsAlongTheFirstAxis) {
  const auto found = resized({{0, 8}, {4, 0}}, 2, {2, 1, 1}, {4, 1, 1}, -1);
  EXPECT_EQ(found, (std::vector<std::vector<float>>{{0, 8}, {1, 6}, {3, 2}, {4, 0}}));
}

TEST(PlaneResizer, ShrinksAndSkipsPlanesThatNothingNeeds) {
  const auto found = resized({{0}, {1}, {2}, {3}, {4}, {5}, {6}, {7}, {8}}, 1, {9, 1, 1}, {3, 1, 1}, -1);
  EXPECT_EQ(found, (std::vector<std::vector<float>>{{1}, {4}, {7}}));
}

TEST(PlaneResizer, GrowsWithinAPlaneEachClassByItself) {
  // one row of two voxels -> two rows of four
  const auto found = resized({{0, 4, 8, 0}}, 2, {1, 1, 2}, {1, 2, 4}, -1);
  EXPECT_EQ(found, (std::vector<std::vector<float>>{{0, 1, 3, 4, 0, 1, 3, 4, 8, 6, 2, 0, 8, 6, 2, 0}}));
}

TEST(PlaneResizer, TheNearestAcrossOneAxis) {
  const auto along = resized({{0}, {4}}, 1, {2, 1, 1}, {4, 1, 1}, 0);
  EXPECT_EQ(along, (std::vector<std::vector<float>>{{0}, {0}, {4}, {4}}));
  const auto across = resized({{0, 4}}, 1, {1, 1, 2}, {1, 1, 4}, 2);
  EXPECT_EQ(across, (std::vector<std::vector<float>>{{0, 0, 4, 4}}));
}

TEST(LargestClass, TheFirstOfEquals) {
  const std::vector<float> values{1, 5, 2, 0,   // class 0
                                  3, 5, 2, -1,  // class 1
                                  2, 6, 2, 0};  // class 2
  std::vector<float> best(4);
  std::vector<std::int32_t> classes(4);
  largest_class(values.data(), 4, 3, 4, best.data(), classes.data());
  EXPECT_EQ(classes, (std::vector<std::int32_t>{1, 2, 0, 0}));
  EXPECT_EQ(best, (std::vector<float>{3, 6, 2, 0}));
}

}  // namespace
}  // namespace mindvoxel
