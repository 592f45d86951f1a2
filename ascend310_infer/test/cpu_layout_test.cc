#include "cpu_layout.h"

#include <gtest/gtest.h>

#include "small_network.h"

namespace mindvoxel {
namespace {

using namespace ov::op;

Value concat(const ov::OutputVector& parts) { return op<v0::Concat>(parts, 1); }

TEST(CpuLayout, LeavesAConcatenationOfTwoToTheConvolution) {
  const auto input = image({1, 2, 5, 6, 7});
  const Value x = conv(input, 16, {3}), y = conv(x, 32, {3});
  const Rewritten net(input, conv(conv(concat({x, y}), 16, {3}), 2, {1}));
  EXPECT_EQ(net.num<v0::Concat>(), 0);
  EXPECT_EQ(net.count.blocked, 3);
}

TEST(CpuLayout, KeepsConcatenationsBlocked) {
  const auto input = image({1, 2, 5, 6, 7});
  const Value x = conv(input, 16, {3}), y = conv(x, 16, {3}), z = conv(y, 32, {3});
  const Value all = concat({x, y, z});
  const Rewritten net(input, conv(op<v1::Add>(conv(all, 64, {3}), all), 2, {1}));
  EXPECT_EQ(net.num<v0::Concat>(), 1);
  EXPECT_EQ(net.count.blocked, 4);
}

TEST(CpuLayout, IsPlainWhereOneTensorIs) {
  const auto input = image({1, 16, 5, 6, 7});
  const Value x = conv(input, 16, {3}), y = conv(x, 16, {3});
  const Rewritten with_the_image(input, conv(concat({x, y, input}), 16, {3}));
  EXPECT_EQ(with_the_image.count.blocked, 0);
  const Value few = conv(x, 8, {3});
  EXPECT_EQ(Rewritten(input, conv(concat({few, few, y}), 16, {3})).count.blocked, 1);  // x alone
}

TEST(CpuLayout, IsPlainWhereOthersLook) {
  const auto input = image({1, 16, 5, 6, 7});
  const Value x = instance_norm(conv(input, 16, {3}));
  const Value means = op<v1::ReduceMean>(x, integers({1}), true);  // over the channels
  const Rewritten net(input, op<v1::Add>(conv(x, 16, {3}), means));
  EXPECT_EQ(net.count.blocked, 0);
  EXPECT_EQ(net.count.convolutions, 2);
}

TEST(CpuLayout, PassesActivationsAndSums) {
  const auto input = image({1, 1, 5, 6, 7});
  const Value x = leaky_relu(add_bias(conv(input, 16, {3}))), y = elu(conv(x, 16, {3}));
  const Rewritten net(input, conv(op<v1::Add>(x, y), 1, {1}));
  EXPECT_EQ(net.count.blocked, 2);
  EXPECT_EQ(net.num<v1::Add>() + net.num<v0::Elu>() + net.num<v0::PRelu>(), 3);
}

TEST(CpuLayout, DoesNotBlockABatch) {
  const auto input = image({2, 16, 5, 6, 7});
  const Value x = leaky_relu(instance_norm(conv(input, 16, {3})));
  const Rewritten net(input, conv(concat({x, conv(x, 16, {3})}), 16, {3}));
  EXPECT_EQ(net.count.convolutions, 3);
  EXPECT_EQ(net.count.blocked, 0);
}

}  // namespace
}  // namespace mindvoxel
