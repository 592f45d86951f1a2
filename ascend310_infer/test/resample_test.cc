#include "resample.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "itk_resample.h"

namespace mindvoxel {
namespace {

constexpr std::size_t kThreads = 2;

std::vector<float> ramp(std::size_t count) {
  std::vector<float> voxels(count);
  std::iota(voxels.begin(), voxels.end(), 0.0F);
  return voxels;
}

/// The weights of a new voxel along the whole old axis.
std::vector<float> row(const AxisWeights& weights, std::size_t o) {
  std::vector<float> values(weights.size, 0.0F);
  for (std::size_t i = weights.begin[o]; i < weights.begin[o + 1]; ++i) {
    values[weights.first[o] + i - weights.begin[o]] = weights.values[i];
  }
  return values;
}

TEST(AxisWeights, LinearDoublingTakesQuarters) {
  const AxisWeights weights = axis_weights(3, 6, 1);  // places -0.25, 0.25, 0.75, 1.25, 1.75, 2.25
  EXPECT_EQ(row(weights, 0), (std::vector<float>{1, 0, 0}));
  EXPECT_EQ(row(weights, 1), (std::vector<float>{0.75F, 0.25F, 0}));
  EXPECT_EQ(row(weights, 4), (std::vector<float>{0, 0.25F, 0.75F}));
  EXPECT_EQ(row(weights, 5), (std::vector<float>{0, 0, 1}));
}

TEST(AxisWeights, OfASplineAddUpToOneAndAreMirrored) {
  const AxisWeights weights = axis_weights(40, 23, 3);
  for (std::size_t o = 0; o < 23; ++o) {
    const auto values = row(weights, o), opposite = row(weights, 22 - o);
    EXPECT_NEAR(std::accumulate(values.begin(), values.end(), 0.0), 1, 1e-6);
    for (std::size_t i = 0; i < 40; ++i) EXPECT_NEAR(values[i], opposite[39 - i], 1e-6);
  }
  EXPECT_LT(weights.values.size(), 23U * 40U);  // far voxels do not count
}

TEST(AxisWeights, OfOneVoxelAreOne) {
  const AxisWeights weights = axis_weights(1, 3, 3);
  for (std::size_t o = 0; o < 3; ++o) EXPECT_NEAR(row(weights, o)[0], 1, 1e-6);
}

TEST(Resize, NearestTakesTheLaterOfTwo) {
  EXPECT_EQ(nearest_voxel(0, 4, 2), 1U);
  EXPECT_EQ(nearest_voxel(1, 4, 2), 3U);
  EXPECT_EQ(nearest_voxel(5, 4, 6), 3U);
}

TEST(Resize, TheSameShapeChangesNothing) {
  const auto voxels = ramp(3 * 5 * 7);
  EXPECT_EQ(resize(voxels, {3, 5, 7}, {3, 5, 7}, 3, -1, kThreads), voxels);
  EXPECT_EQ(resize(voxels, {3, 5, 7}, {3, 5, 7}, 3, 0, kThreads), voxels);
}

TEST(Resize, ALineStaysStraightAlongEachAxis) {
  for (std::size_t axis = 0; axis < 3; ++axis) {
    Shape from{3, 3, 3}, to{3, 3, 3};
    from[axis] = 40;
    to[axis] = 80;
    std::vector<float> voxels;
    for (std::size_t i = 0; i < num_voxels(from); ++i) {
      const Shape at{i / (from[1] * from[2]), i / from[2] % from[1], i % from[2]};
      voxels.push_back(static_cast<float>(at[axis]));
    }
    const auto found = resize(voxels, from, to, 3, -1, kThreads);
    for (std::size_t i = 0; i < num_voxels(to); ++i) {
      const Shape at{i / (to[1] * to[2]), i / to[2] % to[1], i % to[2]};
      if (at[axis] < 20 || at[axis] >= 60) continue;
      EXPECT_NEAR(found[i], (static_cast<double>(at[axis]) + 0.5) / 2 - 0.5, 1e-4);
    }
  }
}

TEST(Resize, ASplineStaysWithinTheRangeOfTheImage) {
  std::vector<float> voxels(11 * 9 * 10, 0.0F);
  voxels[5 * 90 + 4 * 10 + 5] = 1;
  const auto found = resize(voxels, {11, 9, 10}, {17, 20, 13}, 3, -1, kThreads);
  EXPECT_EQ(*std::min_element(found.begin(), found.end()), 0);
  EXPECT_LE(*std::max_element(found.begin(), found.end()), 1);
}

TEST(Resize, AnAxisApartTakesWholeSlices) {
  for (int apart = 0; apart < 3; ++apart) {
    const auto axis = static_cast<std::size_t>(apart);
    Shape to{9, 9, 9};
    to[axis] = 4;
    std::vector<float> voxels(6 * 6 * 6);
    for (std::size_t i = 0; i < voxels.size(); ++i) {
      voxels[i] = static_cast<float>(Shape{i / 36, i / 6 % 6, i % 6}[axis] * 10);
    }
    const auto found = resize(voxels, {6, 6, 6}, to, 3, apart, kThreads);
    const float slices[4] = {0, 20, 30, 50};  // places 0.25, 1.75, 3.25, 4.75
    for (std::size_t i = 0; i < num_voxels(to); ++i) {
      const Shape at{i / (to[1] * to[2]), i / to[2] % to[1], i % to[2]};
      EXPECT_NEAR(found[i], slices[at[axis]], 1e-5);
    }
  }
}

TEST(Resize, IsTheSameForAnyNumberOfThreads) {
  std::vector<float> voxels;
  for (std::size_t i = 0; i < 7 * 70 * 65; ++i) voxels.push_back(std::sin(static_cast<float>(i)));
  const auto one = resize(voxels, {7, 70, 65}, {9, 41, 90}, 3, -1, 1);
  EXPECT_EQ(one, resize(voxels, {7, 70, 65}, {9, 41, 90}, 3, -1, 5));
}

TEST(ResampleWorld, OutsideLiesNothing) {
  WorldGrid from{{1, 1, 3}, {}}, to{{1, 1, 6}, {}};
  from.geometry.spacing_mm = {2, 2, 2};
  const auto found = resample_world({10, 20, 40}, from, to, "linear", 1);  // places 0, 0.5, 1, 1.5, 2, 2.5
  EXPECT_EQ(found, (std::vector<float>{10, 15, 20, 30, 40, 0}));           // the last one lies on the very border
  to.geometry.origin_mm = {-4, 0, 0};
  EXPECT_EQ(resample_world({10, 20, 40}, from, to, "nearest", 1), (std::vector<float>{0, 0, 0, 10, 10, 20}));
}

}  // namespace
}  // namespace mindvoxel
