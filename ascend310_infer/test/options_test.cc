#include "options.h"

#include <gtest/gtest.h>

#include <vector>

#include "errors.h"
#include "machine.h"
#include "temporary.h"

namespace mindvoxel {
namespace {

std::optional<Options> parsed(std::vector<const char*> words) {
  words.insert(words.begin(), "infer");
  return parse_options(static_cast<int>(words.size()), words.data());
}

TEST(Options, DefaultsAndFlags) {
  const auto options = parsed({"--bundle", "b", "--input=i", "--output", "o", "--device", "cpu"});
  ASSERT_TRUE(options);
  EXPECT_EQ(options->input, "i");
  EXPECT_EQ(options->precision, "f32");
  EXPECT_EQ(options->threads, available_cores());
  EXPECT_FALSE(options->tta || options->self_test || options->network_stage || options->fallback_cpu);
  const auto more = parsed({"--bundle", "b", "--self-test", "--device", "ascend", "--fallback", "cpu", "--device-id",
                            "3", "--precision", "bf16", "--threads", "5", "--report", "some-report.json"});
  ASSERT_TRUE(more);
  EXPECT_TRUE(more->self_test && more->fallback_cpu);
  EXPECT_EQ(more->device_id, 3);
  EXPECT_EQ(more->threads, 5u);
  EXPECT_EQ(more->report, "some-report.json");
}

TEST(Options, WhatContradictsOrIsUnknownIsRefused) {
  const std::vector<const char*> good{"--bundle", "b", "--device", "cpu", "--input", "i", "--output", "o"};
  EXPECT_TRUE(parsed(good));
  const std::vector<std::vector<const char*>> additions{{"--thread", "2"},
                                                        {"--threads", "0"},
                                                        {"--threads", "many"},
                                                        {"--precision", "f16"},
                                                        {"--stage", "all"},
                                                        {"--self_test"},
                                                        {"--stage", "network", "--tta"},
                                                        {"--fallback", "cpu"},
                                                        {"--fallback", "gpu"},
                                                        {"--device_id", "-1"},
                                                        {"--bundle"},
                                                        {"word"}};
  for (const auto& addition : additions) {
    std::vector<const char*> words = good;
    words.insert(words.end(), addition.begin(), addition.end());
    EXPECT_THROW(parsed(words), InputError) << addition[0];
  }
  EXPECT_THROW(parsed({"--bundle", "b", "--device", "cpu", "--input", "i"}), InputError);
  EXPECT_THROW(parsed({"--bundle", "b", "--input", "i", "--output", "o"}), InputError);
  EXPECT_THROW(parsed({"--device", "cpu", "--input", "i", "--output", "o"}), InputError);
  EXPECT_THROW(parsed({"--bundle", "b", "--device", "tpu", "--self_test"}), InputError);
  EXPECT_THROW(parsed({"--bundle", "b", "--device", "ascend", "--self_test", "--precision", "bf16"}), InputError);
}

TEST(AvailableCores, NoMoreThanTheQuotaOfAnyGroupAbove) {
  const TemporaryFolder root;
  EXPECT_GE(available_cores(root.path), 1u);
  write_text(root.path / "proc/self/cgroup", "0::/above/below\n");
  write_text(root.path / "sys/fs/cgroup/above/cpu.max", "50000 100000\n");
  write_text(root.path / "sys/fs/cgroup/above/below/cpu.max", "max 100000\n");
  EXPECT_EQ(available_cores(root.path), 1u);
  write_text(root.path / "sys/fs/cgroup/above/cpu.max", "6400000 100000\n");
  EXPECT_EQ(available_cores(root.path), available_cores("/nowhere"));
}

TEST(AvailableCores, Version1) {
  const TemporaryFolder root;
  write_text(root.path / "proc/self/cgroup", "5:memory:/m\n4:cpu,cpuacct:/job\n");
  write_text(root.path / "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "100000\n");
  write_text(root.path / "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(available_cores(root.path), 1u);
}

TEST(PeakMemory, IsSomeMegabytes) { EXPECT_GT(peak_memory_mb(), 1); }

}  // namespace
}  // namespace mindvoxel
