#include "network_stage.h"

#include <gtest/gtest.h>

#include <cstring>

#include "errors.h"
#include "temporary.h"

namespace mindvoxel {
namespace {

class Doubling : public Engine {
 public:
  void run(const float* window, float* logits) override {
    for (int i = 0; i < 6; ++i) logits[i] = 2 * window[i];
  }
  std::string describe() const override { return "doubling"; }
};

Bundle small_bundle() {
  Bundle bundle;
  bundle.input_shape = bundle.output_shape = {1, 1, 1, 2, 3};
  return bundle;
}

std::string floats(std::vector<float> values) {
  std::string bytes(values.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

TEST(NetworkStage, WindowsInLogitsOut) {
  const TemporaryFolder folder;
  write_text(folder.path / "in" / "b.1.bin", floats({1, 2, 3, 4, 5, 6}));
  write_text(folder.path / "in" / "a.bin", floats({0, 0, 0, 0, 0, -1}));
  std::filesystem::create_directory(folder.path / "out");
  const Bundle bundle = small_bundle();
  const auto windows = find_windows(bundle, folder.path / "in", folder.path / "out");
  ASSERT_EQ(windows.size(), 2u);
  EXPECT_EQ(windows[0].output.filename(), "a_0.bin");
  EXPECT_EQ(windows[1].output.filename(), "b.1_0.bin");
  Doubling engine;
  Report report;
  run_windows(bundle, windows, engine, report);
  EXPECT_EQ(read_text(windows[1].output), floats({2, 4, 6, 8, 10, 12}));
  EXPECT_EQ(read_text(windows[0].output), floats({0, 0, 0, 0, 0, -2}));
  EXPECT_EQ(report.call_s.size(), 2u);
  EXPECT_EQ(report.cases[1].name, "b.1");
}

TEST(NetworkStage, WhatIsNoWindowIsRefused) {
  const TemporaryFolder folder;
  const Bundle bundle = small_bundle();
  const std::filesystem::path in = folder.path / "in", out = folder.path / "out";
  EXPECT_THROW(find_windows(bundle, in, out), InputError);  // absent
  std::filesystem::create_directory(in);
  EXPECT_THROW(find_windows(bundle, in, out), InputError);  // empty
  write_text(in / "short.bin", "12345678901234567890123");
  EXPECT_THROW(find_windows(bundle, in, out), InputError);
  write_text(in / "short.bin", "1234567890123456789012345");
  EXPECT_THROW(find_windows(bundle, in, out), InputError);
  write_text(in / "short.bin", "123456789012345678901234");
  EXPECT_EQ(find_windows(bundle, in, out).size(), 1u);
  EXPECT_THROW(find_windows(bundle, in, in), InputError);
  write_text(in / "nodot", "123456789012345678901234");
  EXPECT_THROW(find_windows(bundle, in, out), InputError);
  EXPECT_THROW(find_windows(bundle, in / "nodot", out), InputError);
}

}  // namespace
}  // namespace mindvoxel
