#include "parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <vector>

namespace mindvoxel {
namespace {

TEST(ParallelFor, CallsEachIndexOnceWhateverTheThreads) {
  for (const std::size_t threads : {0u, 1u, 2u, 3u, 8u, 50u}) {
    std::vector<std::atomic<int>> calls(17);
    parallel_for(calls.size(), threads, [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) ++calls[i];
    });
    for (const auto& count : calls) EXPECT_EQ(count, 1) << threads << " threads";
  }
}

TEST(ParallelFor, SharesTheWorkEvenly) {
  std::atomic<std::size_t> largest{0}, parts{0};
  parallel_for(10, 4, [&](std::size_t begin, std::size_t end) {
    ++parts;
    for (std::size_t seen = largest; end - begin > seen && !largest.compare_exchange_weak(seen, end - begin);) {
    }
  });
  EXPECT_EQ(parts, 4u);
  EXPECT_EQ(largest, 3u);
}

TEST(ParallelFor, NothingToDoIsNoCall) {
  parallel_for(0, 4, [](std::size_t, std::size_t) { FAIL(); });
}

TEST(ParallelFor, AnExceptionComesBackWhenAllHaveEnded) {
  std::atomic<int> ended{0};
  EXPECT_THROW(parallel_for(4, 4,
                            [&](std::size_t begin, std::size_t) {
                              if (begin == 2) throw std::runtime_error("two");
                              ++ended;
                            }),
               std::runtime_error);
  EXPECT_EQ(ended, 3);
}

}  // namespace
}  // namespace mindvoxel
