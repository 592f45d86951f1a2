#include "cpu_library.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cmath>

#include "small_network.h"
#include "temporary.h"

namespace mindvoxel {
namespace {

std::string reason_of(const std::filesystem::path& path) {
  try {
    open_cpu_library(path);
  } catch (const CpuOperatorsUnused& reason) {
    return reason.what();
  }
  return "";
}

TEST(CpuLibrary, SaysWhyItIsNotUsed) {
  const TemporaryFolder folder;
  EXPECT_EQ(reason_of(folder.path / "none.so"), "none.so is not beside this program");
  write_text(folder.path / "text.so", "no library");
  EXPECT_NE(reason_of(folder.path / "text.so").find("text.so: "), std::string::npos);
  Dl_info info{};
  ASSERT_NE(dladdr(reinterpret_cast<void*>(static_cast<double (*)(double)>(std::cos)), &info), 0);
  EXPECT_NE(reason_of(info.dli_fname).find("is of another version; run build.sh again"), std::string::npos);
}

TEST(CpuLibrary, OperatorsSayWhyTheyFail) {
  try {
    cpu_library();
  } catch (const CpuOperatorsUnused& reason) {
    GTEST_SKIP() << reason.what();
  }
  const auto input = image({1, 16, 5, 6, 7});
  const std::vector<std::int64_t> ones(3, 1), zeros(3, 0);
  Convolve::Form form{false, ones, zeros, zeros};
  const auto wrong = std::make_shared<Convolve>(ov::OutputVector{input, random_constant({16, 16, 3, 3, 3})}, form,
                                                ov::Shape{1, 16, 5, 6, 7});  // without padding it is smaller
  const auto model = std::make_shared<ov::Model>(ov::OutputVector{wrong->output(0)}, ov::ParameterVector{input});
  testing::internal::CaptureStderr();
  std::string words;
  try {
    answer_of(model, random_numbers(ov::shape_size(input->get_shape())));
  } catch (const std::exception& error) {
    words = error.what();
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_NE(words.find("ConvForward: sizes do not match kernel, stride and padding"), std::string::npos) << words;
}

}  // namespace
}  // namespace mindvoxel
