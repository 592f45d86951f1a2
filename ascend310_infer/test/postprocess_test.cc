#include <gtest/gtest.h>

#include "segment.h"

namespace mindvoxel {
namespace {

using Values = std::vector<std::int16_t>;

Values kept(const Values& values, const Shape& shape, const std::vector<Values>& groups, int neighbours,
            std::int16_t background = 0) {
  Labels labels{values, shape, {}, true};
  postprocess({groups, neighbours}, labels, background, 2);
  return labels.voxels;
}

TEST(Postprocess, TheLargerPartStays) {
  EXPECT_EQ(kept({1, 0, 1, 1, 0, 2}, {1, 1, 6}, {{1}}, 26), (Values{0, 0, 1, 1, 0, 2}));
}

TEST(Postprocess, OfEqualPartsTheFirstStays) {
  EXPECT_EQ(kept({0, 1, 0, 1, 0, 1}, {1, 1, 6}, {{1}}, 26), (Values{0, 1, 0, 0, 0, 0}));
  EXPECT_EQ(kept({0, 1, 0, 1, 0, 1}, {6, 1, 1}, {{1}}, 6), (Values{0, 1, 0, 0, 0, 0}));
}

TEST(Postprocess, ACornerConnectsAmongTwentySix) {
  const Values diagonal{1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0};
  EXPECT_EQ(kept(diagonal, {3, 2, 2}, {{1}}, 26), diagonal);
  EXPECT_EQ(kept({1, 0, 0, 0, 0, 0, 0, 1}, {2, 2, 2}, {{1}}, 26), (Values{1, 0, 0, 0, 0, 0, 0, 1}));
  EXPECT_EQ(kept({1, 0, 0, 0, 0, 0, 0, 1}, {2, 2, 2}, {{1}}, 6), (Values{1, 0, 0, 0, 0, 0, 0, 0}));
}

TEST(Postprocess, AGroupCountsAsOneAndTheNextSeesWhatIsLeft) {
  // together 1 2 2 is larger than 1 1; of 2 alone all of it is one part
  EXPECT_EQ(kept({1, 2, 2, 0, 1, 1}, {1, 1, 6}, {{1, 2}, {1}}, 26), (Values{1, 2, 2, 0, 0, 0}));
  EXPECT_EQ(kept({1, 2, 2, 0, 1, 1}, {1, 1, 6}, {{1}}, 26), (Values{0, 2, 2, 0, 1, 1}));
}

TEST(Postprocess, WhatGoesBecomesTheBackground) {
  EXPECT_EQ(kept({4, 4, 9, 4}, {1, 1, 4}, {{4}}, 6, 9), (Values{4, 4, 9, 9}));
}

TEST(Postprocess, AbsentValuesAndNoGroupsChangeNothing) {
  EXPECT_EQ(kept({0, 1, 0, 1}, {1, 1, 4}, {{2}}, 26), (Values{0, 1, 0, 1}));
  EXPECT_EQ(kept({0, 1, 0, 1}, {1, 1, 4}, {}, 26), (Values{0, 1, 0, 1}));
}

}  // namespace
}  // namespace mindvoxel
