#include "cases.h"

#include <gtest/gtest.h>

#include "each.h"
#include "errors.h"
#include "self_test.h"
#include "temporary.h"
#include "text.h"
#include "volume.h"

namespace mindvoxel {
namespace {

/// Fails as a card does that has been lost, from the call `lost` on; until then it answers zeros.
class Losing : public Engine {
 public:
  explicit Losing(int lost) : lost_(lost) {}
  void run(const float*, float* logits) override {
    if (calls_++ >= lost_) throw EngineError("the runtime failed\n  device 0 is gone");
    std::fill_n(logits, 16, 0.0F);
  }
  std::string describe() const override { return "losing"; }

 private:
  int lost_, calls_ = 0;
};

Bundle small_bundle() {
  Bundle bundle;
  bundle.channels = {"MRI"};
  bundle.label_values = {0, 1};
  bundle.preprocessing.way = "planned";
  bundle.preprocessing.crop = "nonzero";
  bundle.preprocessing.order = "normalize_resample";
  bundle.preprocessing.normalization = {{"zscore"}};
  bundle.preprocessing.rounding = "round";
  bundle.preprocessing.anisotropy = "above_3";
  bundle.sliding.window = {2, 2, 2};
  bundle.sliding.blend = "constant";
  bundle.sliding.average = "logits";
  return bundle;
}

/// Scans of one window, and where their masks go.
std::vector<Job> jobs_in(const TemporaryFolder& folder, const std::vector<std::string>& names) {
  std::vector<Job> jobs;
  std::filesystem::create_directory(folder.path / "out");
  for (const std::string& name : names) {
    const std::filesystem::path path = folder.path / (name + ".mha");
    write_labels(path, Labels{{1, 2, 3, 4, 5, 6, 7, 8}, {2, 2, 2}, {}});
    jobs.push_back({{name, {path}}, folder.path / "out" / (name + ".mha")});
  }
  return jobs;
}

TEST(RunCases, EndsWhereTheEngineIsLost) {
  const TemporaryFolder folder;
  const auto jobs = jobs_in(folder, {"a", "b", "c"});
  Losing engine(1);
  Report report;
  testing::internal::CaptureStderr();
  run_cases(small_bundle(), jobs, engine, Options{}, report);
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "b failed: the runtime failed device 0 is gone; no later case is begun\n");
  ASSERT_EQ(report.cases.size(), 2U);
  EXPECT_EQ(report.cases[0].fault, "");
  EXPECT_EQ(report.cases[0].calls, 1U);
  EXPECT_EQ(report.cases[1].calls, 0U);  // none was answered
  EXPECT_TRUE(std::filesystem::exists(jobs[0].mask));
  EXPECT_FALSE(std::filesystem::exists(jobs[1].mask));
  EXPECT_THROW(throw_faults(report), WorkError);
}

TEST(RunCases, GoOnAfterAFileThatIsBad) {
  const TemporaryFolder folder;
  const auto jobs = jobs_in(folder, {"a", "b"});
  write_text(jobs[0].scan.files[0], "none");
  Losing engine(1);
  Report report;
  testing::internal::CaptureStderr();
  run_cases(small_bundle(), jobs, engine, Options{}, report);
  EXPECT_EQ(testing::internal::GetCapturedStderr().rfind("a failed: ", 0), 0U);
  ASSERT_EQ(report.cases.size(), 2U);
  EXPECT_TRUE(report.cases[0].bad_input);
  EXPECT_EQ(report.cases[1].fault, "");
}

TEST(ThrowFaults, NamesSomeOfMany) {
  Report report;
  for (int i = 0; i < 10000; ++i) {
    CaseReport one;
    one.name = std::to_string(i);
    one.fault = "no";
    report.cases.push_back(one);
  }
  try {
    throw_faults(report);
    FAIL();
  } catch (const WorkError& error) {
    EXPECT_EQ(std::string(error.what()).rfind("10000 of 10000 cases failed (0, 1, 2, 3, 4 and 9995 more), ", 0), 0U)
        << error.what();
  }
}

TEST(OneLine, KeepsBlanksInsideALine) {
  EXPECT_EQ(one_line("a  b.mha: no\n\n\tsuch file\r\n"), "a  b.mha: no such file");
  EXPECT_EQ(one_line(""), "");
}

TEST(AgreementOf, CountsTheForegroundApart) {
  std::vector<std::int16_t> found(10000, 0);
  std::vector<float> expected(10000, 0.0F);
  const Shape shape{10, 10, 100};
  expected[5] = expected[6] = 2;
  found[5] = 2;
  found[7] = 1;
  const auto compared = [&] { return agreement_of(Labels{found, shape, {}}, Image{expected, 1, shape}, 0); };
  EXPECT_DOUBLE_EQ(compared().share, 0.9998);  // enough, and half of the foreground is missed
  EXPECT_DOUBLE_EQ(compared().dice, 0.5);
  found[6] = 1;  // of another label
  found[7] = 0;
  EXPECT_DOUBLE_EQ(compared().dice, 0.5);
  found[6] = 2;
  EXPECT_DOUBLE_EQ(compared().dice, 1);
  EXPECT_DOUBLE_EQ(agreement_of(Labels{found, shape, {}}, Image{expected, 1, {10, 100, 10}}, 0).share, 0);
  const std::vector<std::int16_t> none(8, 3);
  EXPECT_DOUBLE_EQ(agreement_of(Labels{none, {2, 2, 2}, {}}, Image{std::vector<float>(8, 3), 1, {2, 2, 2}}, 3).dice, 1);
}

}  // namespace
}  // namespace mindvoxel
