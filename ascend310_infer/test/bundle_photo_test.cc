#include <functional>

#include "made_bundle.h"

namespace mindvoxel {
namespace {

using nlohmann::json;

class PhotoBundleTest : public MadeBundle {
 protected:
  PhotoBundleTest()
      : MadeBundle({"reference/image.png", "reference/predictions.csv"}, R"({
    "version": 1, "model": "resnet50",
    "network": {"input": "image", "output": "logits", "input_shape": [1, 3, 6, 6], "output_shape": [1, 2]},
    "channels": ["red", "green", "blue"],
    "classes": [{"value": 0, "name": "n01"}, {"value": 1, "name": "n02"}],
    "preprocessing": {"way": "photo", "short_side": 7, "size": 6, "mean": [123.5, 116, 103], "sd": [1, 2, 3]}})") {}
};

TEST_F(PhotoBundleTest, EveryValueArrives) {
  const Bundle bundle = read();
  EXPECT_TRUE(bundle.classifies());
  EXPECT_EQ(bundle.preprocessing.photo.short_side, 7u);
  EXPECT_EQ(bundle.preprocessing.photo.size, 6u);
  EXPECT_EQ(bundle.preprocessing.photo.mean, (std::array<float, 3>{123.5, 116, 103}));
  EXPECT_EQ(bundle.preprocessing.photo.sd, (std::array<float, 3>{1, 2, 3}));
  EXPECT_EQ(bundle.reference_image().filename(), "image.png");
}

TEST_F(PhotoBundleTest, WhatCannotBe) {
  const std::vector<std::pair<std::function<void(json&)>, std::string>> faults = {
      {[](json& d) {
         d["channels"] = {"blue", "green", "red"};
       },
       "channels of the way photo must be (red, green"},
      {[](json& d) { d["preprocessing"]["size"] = 8; }, "size is 8 and short_side 7"},
      {[](json& d) { d["preprocessing"]["size"] = 0; }, "size is 0 and short_side 7"},
      {[](json& d) { d["preprocessing"]["size"] = -1; }, "preprocessing.size is -1"},
      {[](json& d) { d["preprocessing"]["short_side"] = 1 << 20; }, "short_side 1048576"},
      {[](json& d) {
         d["preprocessing"]["sd"] = {1, 0, 1};
       },
       "sd must be above 0"},
      {[](json& d) {
         d["preprocessing"]["mean"] = {1, 2};
       },
       "an array of another length"},
      {[](json& d) { d["preprocessing"].erase("sd"); }, "preprocessing.sd is missing"},
      {[](json& d) {
         d["network"]["output_shape"] = {1, 2, 6, 6};
       },
       "output_shape is (1, 2, 6, 6)"},
      {[](json& d) {
         d["network"]["output_shape"] = {1, 3};
       },
       "output_shape is (1, 3)"},
      {[](json& d) {
         d["network"]["input_shape"] = {1, 3, 7, 7};
       },
       "input_shape is (1, 3, 7, 7)"},
      {[](json& d) { d["classes"][1]["value"] = 2; }, "values 0, 1, 2 in order"},
      {[](json& d) { d["classes"][1]["name"] = "n01"; }, "different names"},
      {[](json& d) { d["classes"][1]["name"] = "n\n"; }, "one line"},
      {[](json& d) { d["classes"].erase(1); }, "two at least"},
      {[](json& d) { d["files"].erase("reference/image.png"); }, "image.png is missing"},
  };
  const json good = deploy;
  for (const auto& [damage, said] : faults) {
    deploy = good;
    damage(deploy);
    EXPECT_NE(refused().find(said), std::string::npos) << said << " not in " << refused();
  }
}

}  // namespace
}  // namespace mindvoxel
