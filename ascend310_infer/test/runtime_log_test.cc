#include "runtime_log.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <stdexcept>

namespace mindvoxel {
namespace {

using Names = std::vector<std::string>;

TEST(Captured, HoldsBothOutputsInTheirOrderAndGivesThemBack) {
  testing::internal::CaptureStdout();
  std::cout << "before ";
  const std::string log = captured([] {
    std::cout << "one ";
    std::cout.flush();
    std::fprintf(stderr, "two ");
    std::printf("three");
  });
  std::cout << "after";
  EXPECT_EQ(log, "one two three");
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "before after");
}

TEST(Captured, GivesTheOutputsBackWhereTheWorkThrows) {
  testing::internal::CaptureStdout();
  EXPECT_THROW(captured([] { throw std::runtime_error("no"); }), std::runtime_error);
  std::cout << "still there";
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "still there");
}

TEST(Captured, LetsPassWhatIsAskedFor) {
  setenv("GLOG_v", "2", 1);
  testing::internal::CaptureStderr();
  EXPECT_EQ(captured([] { std::fprintf(stderr, "a warning"); }), "");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "a warning");
  unsetenv("GLOG_v");
}

TEST(RefusedOperators, AreNamedOnceFromCannsError) {
  const std::string log =
      "EZ3003: [PID: 7] 2026-01-02-03:04:05.678.901 No supported Ops kernel and engine are found for "
      "[Default/down-Conv3d/Conv3D-op3], optype [Conv3D].\n"
      "        TraceBack (most recent call last):\n"
      "        No supported Ops kernel and engine are found for [up-op9], optype [Conv3DTranspose].\n"
      "        No supported Ops kernel and engine are found for [Default/Conv3D-op4], optype [Conv3D].\n"
      "[WARNING] GE_ADPT(1,7f,infer):2026 [a/b.cc:1] Find] Can't find OpAdapter for Depend\n";
  EXPECT_EQ(refused_operators(log), (Names{"Conv3D", "Conv3DTranspose"}));
  EXPECT_EQ(load_failure(log, "Common error code."), "it has no kernel for Conv3D, Conv3DTranspose");
}

TEST(RefusedOperators, AreFoundInTheOtherForms) {
  EXPECT_EQ(refused_operators("EZ3002: Optype [Conv3D] of Ops kernel [AIcoreEngine] is unsupported. Reason: x"),
            Names{"Conv3D"});
  EXPECT_EQ(refused_operators("[ERROR] GE_ADPT(1,7f,infer):2026 [a/b.cc:1] Find] Can't find OpAdapter for Elu"),
            Names{"Elu"});
  EXPECT_EQ(refused_operators("[WARNING] LITE(1,7f,infer):2026 [m/ops_utils.h:50] GetPrimitiveCreator] Unsupported "
                              "primitive type in Create: Conv3D\n"),
            Names{"Conv3D"});
  EXPECT_EQ(refused_operators("[ERROR] ME(1,7f,infer):2026 [a/b.cc:1] Build] compile graph failed.\n"), Names{});
}

TEST(LoadFailure, TellsTheVersionsOfTheFile) {
  const std::string reason = load_failure(
      "[ERROR] CORE(1,7f,infer):2026 [m/log_adapter.cc:392] operator^] Runtime error for null exception handler.\n",
      "This software can only support the maximum mind ir version: 1, please install the latest version to support the "
      "mind ir version: 3\n\n----\n- C++ Call Stack:\n");
  EXPECT_EQ(reason,
            "it reads MINDIR up to version 1 and the file is of version 3: install the MindSpore Lite of the release "
            "that made the file");
}

TEST(LoadFailure, TellsALibraryOfCannThatLacks) {
  const std::string log =
      "[WARNING] ME(1,7f,infer):2026 [m/dlutils.h:101] DLSoOpen] dlopen /a/libascend_kernel_plugin.so failed, error: "
      "libgraph.so: cannot open shared object file: No such file or directory\n"
      "[ERROR] ME(1,7f,infer):2026 [m/single_op_session.cc:77] Init] Init ascend failed.\n";
  EXPECT_NE(load_failure(log, "Common error code.").find("libgraph.so is not found, of CANN"), std::string::npos);
}

TEST(LoadFailure, TellsADeviceThatIsNotThere) {
  for (const char* words : {"Unsupported device target Ascend", "Acl open device 5 failed", "Acl init failed"}) {
    const std::string log = "[ERROR] ME(1,7f,infer):2026 [m/factory.cc:68] Create] " + std::string(words) + ".\n";
    EXPECT_EQ(load_failure(log, "x").find("no Ascend device can be used, " + std::string(words)), 0U) << words;
  }
}

TEST(LoadFailure, BearsLinesOfAnyLength) {
  const std::string much(1000000, 'x');
  const std::string log = "Optype [" + much + "\n" + "[ERROR] ME(1): [m/a.cc:1] Build] The graph [" + much + "\n";
  EXPECT_EQ(load_failure(log, "x").find("The graph [xxx"), 0U);
}

TEST(LoadFailure, ElseTellsTheFirstErrorWithoutPlaceAndTime) {
  const std::string log =
      "[WARNING] ME(1,7f,infer):2026 [m/numa.cc:35] NUMAAdapter] Open libnuma.so failed!\n"
      "[ERROR] ME(1,7f,infer):2026-11-26-01:05:06.795.020 [m/serialization.cc:54] ReadFile] File: a.mindir is empty.\n"
      "[ERROR] ME(1,7f,infer):2026 [m/model_impl.cc:210] Build] Failed.\n";
  EXPECT_EQ(load_failure(log, "Common error code."), "File: a.mindir is empty");
  EXPECT_EQ(load_failure("", "Fail to support.\n"), "Fail to support");
}

}  // namespace
}  // namespace mindvoxel
