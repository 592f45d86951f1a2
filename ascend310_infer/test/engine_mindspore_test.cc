// The Ascend engine itself, on the CPU device that MindSpore Lite has; a MindSpore with C++ API has none.
#include "engine_mindspore.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "errors.h"
#include "temporary.h"

namespace mindvoxel {
namespace {

/// A folder with one of the networks of data/ as model.mindir, of which the bundle says these shapes.
class MindSpore : public testing::Test {
 protected:
  void use(const std::string& network, std::vector<std::int64_t> input, std::vector<std::int64_t> output) {
    std::filesystem::copy_file(std::filesystem::path(TEST_DATA) / (network + ".mindir"), bundle_.mindir(),
                               std::filesystem::copy_options::overwrite_existing);
    bundle_.input_shape = std::move(input);
    bundle_.output_shape = std::move(output);
  }

  MindSpore() { bundle_.folder = folder_.path; }

  /// The sentence with which a load ends, "" where it does not; nothing else may be printed.
  template <typename Load>
  std::string refusal(const Load& load) {
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    std::string sentence;
    try {
      load();
    } catch (const InputError& error) {
      sentence = error.what();
    }
    EXPECT_EQ(testing::internal::GetCapturedStdout() + testing::internal::GetCapturedStderr(), "");
    EXPECT_EQ(sentence.find('\n'), std::string::npos);
    return sentence;
  }

  const TemporaryFolder folder_;
  Bundle bundle_;
};

TEST_F(MindSpore, EndsInOneSentenceWithoutADevice) {
  use("affine", {1, 1, 6, 5}, {1, 2, 6, 5});
  const std::string sentence = refusal([&] { load_mindspore(bundle_, EngineOptions{}); });
  EXPECT_NE(sentence.find("on Ascend device 0: no Ascend device can be used"), std::string::npos) << sentence;
}

TEST_F(MindSpore, RefusesADeviceBelowZero) {
  EngineOptions options;
  options.device_id = -1;
  EXPECT_EQ(refusal([&] { load_mindspore(bundle_, options); }), "--device_id must be 0 or more, got -1");
}

#ifdef MINDVOXEL_LITE
std::shared_ptr<mindspore::Context> cpu() {
  const auto context = std::make_shared<mindspore::Context>();
  context->SetThreadNum(1);
  context->MutableDeviceInfo().push_back(std::make_shared<mindspore::CPUDeviceInfo>());
  return context;
}

TEST_F(MindSpore, ComputesTheNetworkWindowAfterWindow) {
  use("affine", {1, 1, 6, 5}, {1, 2, 6, 5});
  const auto engine = load_mindspore_on(bundle_, cpu(), "the CPU");
  EXPECT_NE(engine->describe().find("MindSpore Lite"), std::string::npos);
  for (const float scale : {1.0F, -3.0F}) {
    std::vector<float> window(30), logits(60, -1.0F);
    for (std::size_t i = 0; i < window.size(); ++i) window[i] = scale * static_cast<float>(i);
    const std::vector<float> before = window;
    engine->run(window.data(), logits.data());
    EXPECT_EQ(window, before);
    for (std::size_t i = 0; i < window.size(); ++i) {
      EXPECT_FLOAT_EQ(logits[i], 0.5F - window[i]);
      EXPECT_FLOAT_EQ(logits[30 + i], window[i] - 0.5F);
    }
  }
}

TEST_F(MindSpore, NamesAnOperatorThatTheDeviceRefuses) {
  use("conv3d", {1, 1, 4, 6, 5}, {1, 2, 4, 6, 5});
  const std::string sentence = refusal([&] { load_mindspore_on(bundle_, cpu(), "the CPU"); });
  EXPECT_NE(sentence.find("on the CPU: it has no kernel for Conv3D;"), std::string::npos) << sentence;
}

TEST_F(MindSpore, TellsAFileOfANewerMindSpore) {
  use("version3", {1, 1, 6, 5}, {1, 2, 6, 5});
  const std::string sentence = refusal([&] { load_mindspore_on(bundle_, cpu(), "the CPU"); });
  EXPECT_NE(sentence.find("reads MINDIR up to version 1 and the file is of version 3"), std::string::npos) << sentence;
}

TEST_F(MindSpore, RefusesTensorsOfAnotherShape) {
  use("affine", {1, 1, 5, 6}, {1, 2, 5, 6});
  std::string sentence = refusal([&] { load_mindspore_on(bundle_, cpu(), "the CPU"); });
  EXPECT_NE(sentence.find("its input is float32 (1, 1, 6, 5), and by deploy.json float32 (1, 1, 5, 6)"),
            std::string::npos)
      << sentence;
  use("affine", {1, 1, 6, 5}, {1, 3, 6, 5});
  sentence = refusal([&] { load_mindspore_on(bundle_, cpu(), "the CPU"); });
  EXPECT_NE(sentence.find("its output is float32 (1, 2, 6, 5)"), std::string::npos) << sentence;
}

TEST_F(MindSpore, RefusesAnAnswerThatIsNotFinite) {
  use("not_finite", {1, 1, 6, 5}, {1, 2, 6, 5});
  const std::string sentence = refusal([&] { load_mindspore_on(bundle_, cpu(), "the CPU"); });
  EXPECT_NE(sentence.find("values that are not finite"), std::string::npos) << sentence;
}

TEST_F(MindSpore, RefusesADamagedOrMissingFile) {
  use("affine", {1, 1, 6, 5}, {1, 2, 6, 5});
  std::filesystem::resize_file(bundle_.mindir(), 700);
  EXPECT_NE(refusal([&] { load_mindspore_on(bundle_, cpu(), "the CPU"); }).find("cannot run"), std::string::npos);
  std::filesystem::remove(bundle_.mindir());
  EXPECT_NE(refusal([&] { load_mindspore_on(bundle_, cpu(), "the CPU"); }).find("does not exist"), std::string::npos);
}
#endif

}  // namespace
}  // namespace mindvoxel
