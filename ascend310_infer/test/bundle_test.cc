#include "bundle.h"

#include <functional>

#include "made_bundle.h"

namespace mindvoxel {
namespace {

using nlohmann::json;

class BundleTest : public MadeBundle {
 protected:
  BundleTest()
      : MadeBundle({"reference/image.nii.gz", "reference/labels.nii.gz"}, R"({
    "version": 1, "model": "unet3d", "made_with": {"unknown": ["key"]},
    "network": {"input": "image", "output": "logits", "input_shape": [1, 2, 4, 6, 5],
                "output_shape": [1, 3, 4, 6, 5], "layout": "NCDHW", "precision": "f32"},
    "channels": ["CT", "PET"],
    "classes": [{"value": 0, "name": "background"}, {"value": 1, "name": "liver"}, {"value": 4, "name": "tumour"}],
    "default_spacing_mm": null,
    "preprocessing": {"way": "planned", "axes": [1, 0, 2], "crop": "nonzero", "order": "normalize_resample",
      "normalization": [{"scheme": "ct", "low": -970.0, "high": 180, "mean": -10.5, "sd": 110.0},
                        {"scheme": "zscore"}],
      "spacing_mm": [2.5, 1, 0.75], "rounding": "round", "anisotropy": "above_3",
      "image_interpolation": "cubic", "logits_interpolation": "linear"},
    "sliding": {"window": [4, 6, 5], "overlap": 0.5, "spread": true, "blend": "nnunet", "average": "logits",
      "pad_value": 0.0, "tta_axes": [0, 2], "validated_with_tta": true},
    "postprocessing": {"keep_largest": [[1, 4], [4]], "neighbours": 26}})") {}
};

TEST_F(BundleTest, EveryValueArrives) {
  const Bundle bundle = read();
  EXPECT_EQ(bundle.model, "unet3d");
  EXPECT_EQ(bundle.channels, (std::vector<std::string>{"CT", "PET"}));
  EXPECT_EQ(bundle.label_values, (std::vector<std::int16_t>{0, 1, 4}));
  EXPECT_EQ(bundle.label_names[2], "tumour");
  EXPECT_EQ(bundle.input_shape, (std::vector<std::int64_t>{1, 2, 4, 6, 5}));
  EXPECT_EQ(bundle.output_shape[1], 3);
  EXPECT_FALSE(bundle.default_spacing_mm);
  const Preprocessing& way = bundle.preprocessing;
  EXPECT_EQ(way.axes, (std::array<std::size_t, 3>{1, 0, 2}));
  EXPECT_EQ(way.normalization[0].low, -970.0f);
  EXPECT_EQ(way.normalization[0].mean, -10.5f);
  EXPECT_EQ(way.normalization[1].scheme, "zscore");
  EXPECT_EQ(way.spacing_mm, (std::vector<double>{2.5, 1, 0.75}));
  EXPECT_EQ(bundle.sliding.box(), (Shape{4, 6, 5}));
  EXPECT_EQ(bundle.sliding.tta_axes, (std::vector<std::size_t>{0, 2}));
  EXPECT_TRUE(bundle.sliding.validated_with_tta);
  EXPECT_EQ(bundle.postprocessing.keep_largest, (std::vector<std::vector<std::int16_t>>{{1, 4}, {4}}));
}

TEST_F(BundleTest, A2dPlanWithoutResampling) {
  deploy["sliding"]["window"] = {6, 5};
  deploy["sliding"]["tta_axes"] = {1};
  deploy["network"]["input_shape"] = {1, 2, 6, 5};
  deploy["network"]["output_shape"] = {1, 3, 6, 5};
  deploy["preprocessing"]["spacing_mm"] = nullptr;
  deploy["default_spacing_mm"] = {3, 1, 1};
  const Bundle bundle = read();
  EXPECT_EQ(bundle.sliding.box(), (Shape{1, 6, 5}));
  EXPECT_TRUE(bundle.preprocessing.spacing_mm.empty());
  EXPECT_EQ(bundle.default_spacing_mm, (Spacing{3, 1, 1}));
}

TEST_F(BundleTest, TheWayOfVNet) {
  deploy["channels"] = {"MRI"};
  deploy["classes"] = {{{"value", 0}, {"name", "background"}}, {{"value", 1}, {"name", "prostate"}}};
  deploy["network"]["input_shape"] = {1, 1, 4, 6, 5};
  deploy["network"]["output_shape"] = {1, 2, 4, 6, 5};
  deploy["preprocessing"] = {{"way", "scan"},       {"spacing_mm", {1.5, 1, 1}},       {"min_shape", {4, 6, 5}},
                             {"centre_crop", true}, {"image_interpolation", "linear"}, {"restore_order", "linear"}};
  deploy["sliding"]["average"] = "foreground";
  deploy["sliding"]["blend"] = "gaussian";
  deploy["postprocessing"] = {{"keep_largest", {{1}}}, {"neighbours", 6}};
  const Bundle bundle = read();
  EXPECT_EQ(bundle.preprocessing.min_shape, (Shape{4, 6, 5}));
  EXPECT_TRUE(bundle.preprocessing.centre_crop);
  EXPECT_EQ(bundle.postprocessing.neighbours, 6);
}

TEST_F(BundleTest, AChangedByte) {
  std::string words = read_text(folder.path / "model.onnx");
  words[3] = static_cast<char>(words[3] ^ 1);
  write_text(folder.path / "model.onnx", words);
  EXPECT_NE(refused().find("model.onnx is not as it was exported"), std::string::npos) << refused();
}

TEST_F(BundleTest, AMissingByte) {
  write_text(folder.path / "model.mindir", "of model.mindi");
  EXPECT_NE(refused().find("has 14 bytes, and by deploy.json 15"), std::string::npos) << refused();
}

TEST_F(BundleTest, AMissingFile) {
  std::filesystem::remove(folder.path / "reference" / "labels.nii.gz");
  EXPECT_NE(refused().find("labels.nii.gz: no such file"), std::string::npos) << refused();
}

TEST_F(BundleTest, AFileThatItDoesNotList) {
  deploy["files"].erase("model.onnx");
  EXPECT_NE(refused().find("files.model.onnx is missing"), std::string::npos) << refused();
}

TEST_F(BundleTest, AFileOutside) {
  deploy["files"]["../model.onnx"] = deploy["files"]["model.onnx"];
  EXPECT_NE(refused().find("outside the bundle"), std::string::npos) << refused();
}

TEST_F(BundleTest, NoBundleAtAll) {
  const TemporaryFolder empty;
  EXPECT_THROW(read_bundle(empty.path), InputError);
  EXPECT_THROW(read_bundle(empty.path / "absent"), InputError);
}

TEST_F(BundleTest, NoJson) {
  for (const char* words : {"", "{", "[1, 2]", "null", "{\"version\": 1e999}", "\xff\xfe{}"}) {
    write_text(folder.path / "deploy.json", words);
    EXPECT_THROW(read_bundle(folder.path), InputError) << words;
  }
  const std::string deep(1000000, '[');
  write_text(folder.path / "deploy.json", "{\"version\": " + deep + std::string(deep.size(), ']') + "}");
  EXPECT_THROW(read_bundle(folder.path), InputError);
  std::filesystem::remove(folder.path / "deploy.json");
  std::filesystem::create_directory(folder.path / "deploy.json");
  EXPECT_THROW(read_bundle(folder.path), InputError);
}

TEST_F(BundleTest, ANewVersion) {
  deploy["version"] = 2;
  EXPECT_NE(refused().find("version is 2, and this program reads 1"), std::string::npos) << refused();
}

TEST_F(BundleTest, EveryKeyIsNeeded) {
  const json whole = deploy;
  const char* keys[] = {"/version",
                        "/model",
                        "/channels",
                        "/classes",
                        "/classes/1/value",
                        "/network",
                        "/network/input",
                        "/network/input_shape",
                        "/network/output_shape",
                        "/files",
                        "/files/model.onnx/bytes",
                        "/files/model.onnx/sha256",
                        "/preprocessing",
                        "/preprocessing/way",
                        "/preprocessing/axes",
                        "/preprocessing/crop",
                        "/preprocessing/order",
                        "/preprocessing/normalization",
                        "/preprocessing/normalization/0/sd",
                        "/preprocessing/rounding",
                        "/preprocessing/anisotropy",
                        "/preprocessing/image_interpolation",
                        "/preprocessing/logits_interpolation",
                        "/sliding",
                        "/sliding/window",
                        "/sliding/overlap",
                        "/sliding/spread",
                        "/sliding/blend",
                        "/sliding/average",
                        "/sliding/pad_value",
                        "/sliding/tta_axes",
                        "/sliding/validated_with_tta",
                        "/postprocessing",
                        "/postprocessing/keep_largest",
                        "/postprocessing/neighbours"};
  for (const char* key : keys) {
    const json::json_pointer pointer(key);
    deploy = whole;
    deploy.at(pointer.parent_pointer()).erase(pointer.back());
    EXPECT_NE(refused().find("is missing"), std::string::npos) << key << ": " << refused();
  }
}

TEST_F(BundleTest, ValuesThatDoNotFit) {
  const json whole = deploy;
  const std::pair<const char*, json> changes[] = {{"/version", "1"},
                                                  {"/classes/1/value", 40000},
                                                  {"/classes/1/value", 0.5},
                                                  {"/classes/1/value", 0},
                                                  {"/sliding/window", {4, 6}},
                                                  {"/sliding/window", {4, 6, 0}},
                                                  {"/sliding/window", {4, 6, -5}},
                                                  {"/sliding/window", {4294967296, 4294967296, 5}},
                                                  {"/sliding/window", json::array()},
                                                  {"/sliding/overlap", 1},
                                                  {"/sliding/overlap", "half"},
                                                  {"/sliding/blend", "gauss"},
                                                  {"/sliding/spread", 1},
                                                  {"/sliding/average", "foreground"},
                                                  {"/sliding/tta_axes", {0, 0}},
                                                  {"/sliding/tta_axes", {3}},
                                                  {"/sliding/pad_value", 1e300},
                                                  {"/network/input_shape", {1, 1, 4, 6, 5}},
                                                  {"/network/output_shape", {1, 3, 4, 6}},
                                                  {"/preprocessing/way", "other"},
                                                  {"/preprocessing/axes", {0, 1, 1}},
                                                  {"/preprocessing/axes", {0, 1}},
                                                  {"/preprocessing/spacing_mm", {1, 1, 0}},
                                                  {"/preprocessing/spacing_mm", {1}},
                                                  {"/preprocessing/normalization", json::array()},
                                                  {"/preprocessing/normalization/0/scheme", "window"},
                                                  {"/preprocessing/crop", "all"},
                                                  {"/preprocessing/order", ""},
                                                  {"/preprocessing/rounding", "ceil"},
                                                  {"/preprocessing/anisotropy", "never"},
                                                  {"/preprocessing/image_interpolation", "linear"},
                                                  {"/preprocessing/logits_interpolation", "nearest"},
                                                  {"/default_spacing_mm", {1, 1}},
                                                  {"/default_spacing_mm", {1, 1, 0}},
                                                  {"/postprocessing/keep_largest", {{0}}},
                                                  {"/postprocessing/keep_largest", {{3}}},
                                                  {"/postprocessing/keep_largest", {1}},
                                                  {"/postprocessing/neighbours", 18},
                                                  {"/channels", json::array()},
                                                  {"/channels", {1, 2}},
                                                  {"/classes", json::array()},
                                                  {"/files/model.onnx/bytes", -1},
                                                  {"/files", {1}}};
  for (const auto& [key, value] : changes) {
    deploy = whole;
    deploy[json::json_pointer(key)] = value;
    EXPECT_NE(refused().find("deploy.json: "), std::string::npos) << key << " " << value << ": " << refused();
  }
}

TEST(Sha256, OfAbc) {
  const TemporaryFolder folder;
  write_text(folder.path / "abc", "abc");
  EXPECT_EQ(sha256_of(folder.path / "abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_THROW(sha256_of(folder.path / "absent"), InputError);
}

}  // namespace
}  // namespace mindvoxel
