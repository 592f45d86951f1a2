#include "cpu_fusion.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <sstream>
#include <string>

#include "small_network.h"

namespace mindvoxel {
namespace {

using namespace ov::op;

TEST(CpuFusion, TakesInWhatFollowsAConvolutionAndANormalisation) {
  const auto input = image({1, 1, 5, 6, 7});
  Value x = leaky_relu(instance_norm(add_bias(conv(input, 16, {3}))));
  x = elu(op<v1::Add>(elu(instance_norm(conv(x, 16, {3}))), x));
  const Rewritten net(input, add_bias(conv(x, 3, {1})));
  EXPECT_EQ(net.count.convolutions, 3);
  EXPECT_EQ(net.count.all_convolutions, 3);
  EXPECT_EQ(net.count.normalisations, 2);
  EXPECT_EQ(net.count.blocked, 2);
  EXPECT_EQ(net.num<Convolve>() + net.num<Normalize>() + net.num<v0::Constant>() + 2, net.model->get_ops().size());
}

TEST(CpuFusion, AddsAResidualOfOneChannel) {
  const auto input = image({1, 1, 4, 5, 18});
  const Value x = elu(op<v1::Add>(input, instance_norm(conv(input, 16, {5}))));
  const Rewritten net(input, conv(x, 2, {1}));
  EXPECT_EQ(net.num<v1::Add>(), 0);
  EXPECT_EQ(net.count.blocked, 1);
}

TEST(CpuFusion, KnowsBatchNormalisationInBothForms) {
  const auto input = image({1, 16, 4, 6, 5});
  const auto norm = [](const Value& x) {
    const std::size_t c = x.get_shape()[1];
    const Value scale = random_constant({c}, 1), shift = random_constant({c}), mean = random_constant({c});
    return op<v5::BatchNormInference>(x, scale, shift, mean, constant({c}, std::vector<float>(c, 0.7F)), 1e-5);
  };
  const Value x = conv(input, 32, {3});
  const Value flat = norm(op<v1::Reshape>(x, integers({1, 32, 24, 5}), false));
  const Rewritten net_3d(input, op<v0::Relu>(op<v1::Reshape>(flat, integers({1, 32, 4, 6, 5}), false)));
  EXPECT_EQ(net_3d.count.normalisations, 1);
  EXPECT_EQ(net_3d.num<v1::Reshape>() + net_3d.num<v0::Relu>(), 0);
  const auto flat_input = image({1, 16, 9, 5});
  const Rewritten net_2d(flat_input, op<v0::Relu>(norm(conv(flat_input, 32, {3}))));
  EXPECT_EQ(net_2d.count.normalisations, 1);
  EXPECT_EQ(net_2d.num<v0::Relu>(), 0);
}

TEST(CpuFusion, LeavesASlopeForEachChannel) {
  const auto input = image({1, 16, 4, 5, 6});
  const Value x =
      leaky_relu(instance_norm(conv(input, 16, {3})), constant({1, 16, 1, 1, 1}, std::vector<float>(16, 0.1F)));
  const Rewritten by_maximum(input, conv(x, 16, {3}));
  EXPECT_EQ(by_maximum.num<v1::Maximum>(), 1);
  const Value slopes = random_constant({16}, 0.3F);
  const Rewritten by_prelu(input, conv(op<v0::PRelu>(instance_norm(conv(input, 16, {3})), slopes), 16, {3}));
  EXPECT_EQ(by_prelu.num<v0::PRelu>(), 1);
  EXPECT_EQ(by_prelu.count.blocked, 0);
}

TEST(CpuFusion, TakesOneSlopeAlone) {
  const auto input = image({1, 16, 4, 5, 6});
  const Value x = instance_norm(conv(input, 16, {3}));
  const Value other = leaky_relu(op<v1::Add>(leaky_relu(x, constant({1}, {0.2F})), input), constant({}, {0.3F}));
  EXPECT_EQ(Rewritten(input, other).num<v0::PRelu>(), 1);  // the second differs
  const auto single = image({1, 1, 4, 5, 6});
  const Value y = leaky_relu(instance_norm(conv(single, 1, {3})), constant({1, 1, 1, 1, 1}, {0.2F}));
  EXPECT_EQ(Rewritten(single, y).num<v0::PRelu>(), 0);
}

TEST(CpuFusion, LeavesWhatIsNoInstanceNormalisation) {
  const auto input = image({1, 16, 4, 5, 16});
  const Value x = conv(input, 16, {3});
  const Value along_width = random_constant({16}, 1);  // as many numbers as channels, along another axis
  EXPECT_EQ(Rewritten(input, instance_norm(x, along_width)).count.normalisations, 0);
  const Value scale = random_constant({1, 16, 1, 1, 1}, 1);
  EXPECT_EQ(Rewritten(input, instance_norm(x, scale, {1, 2, 3})).count.normalisations, 0);
  EXPECT_EQ(Rewritten(input, instance_norm(x, scale, {-1, -2, -3})).count.normalisations, 1);
}

TEST(CpuFusion, LeavesTheVarianceOfAnother) {
  const auto input = image({1, 16, 4, 5, 6});
  const Value x = conv(input, 16, {3}), other = conv(input, 16, {3}), axes = integers({2, 3, 4});
  const Value mean = op<v1::ReduceMean>(x, axes, true);
  const Value centred = op<v1::Subtract>(other, op<v1::ReduceMean>(other, axes, true));
  const Value variance = op<v1::ReduceMean>(op<v1::Multiply>(centred, centred), axes, true);
  const Value unit =
      op<v1::Divide>(op<v1::Subtract>(x, mean), op<v0::Sqrt>(op<v1::Add>(variance, constant({}, {0.1F}))));
  const Value scaled = op<v1::Multiply>(unit, random_constant({1, 16, 1, 1, 1}, 1));
  EXPECT_EQ(Rewritten(input, op<v1::Add>(scaled, random_constant({1, 16, 1, 1, 1}))).count.normalisations, 0);
}

TEST(CpuFusion, PadsLessWhereASliceCutsPaddingOff) {
  const auto input = image({1, 16, 4, 7, 6});
  const auto cut = [](const Value& x, std::int64_t first, std::int64_t end) {
    return op<v8::Slice>(x, integers({first}), integers({end}), integers({1}), integers({2}));
  };
  const Value wide = add_bias(conv(input, 16, {1, 3, 3}));  // depth 4 + 2
  const Value whole = op<v8::Slice>(cut(wide, 1, 5), integers({}), integers({}), integers({}), integers({}));
  const Rewritten net(input, conv(instance_norm(whole), 3, {1}));
  EXPECT_EQ(net.num<v8::Slice>(), 0);
  EXPECT_EQ(net.count.blocked, 1);
  EXPECT_EQ(Rewritten(input, cut(wide, 1, -1)).num<v8::Slice>(), 0);
  EXPECT_EQ(Rewritten(input, cut(wide, 2, 5)).num<v8::Slice>(), 1);                     // more than the padding made
  EXPECT_EQ(Rewritten(input, cut(conv(input, 16, {3}, 2), 1, 2)).num<v8::Slice>(), 1);  // a step of 2 voxels
  const Value turned = op<v8::Slice>(wide, integers({-1}), integers({-100}), integers({-1}), integers({2}));
  EXPECT_EQ(Rewritten(input, turned).num<v8::Slice>(), 1);
}

TEST(CpuFusion, FlattensATransposedConvolutionOfDepthOne) {
  const auto input = image({1, 32, 3, 5});
  const auto transposed = [](const Value& x, const ov::Shape& weights, std::size_t depth) {
    const ov::Strides steps{depth, 2, 2}, ones(3, 1);
    const ov::CoordinateDiff pads(3, 0);
    return op<v1::ConvolutionBackpropData>(x, random_constant(weights), steps, pads, pads, ones);
  };
  const Value x = op<v1::Reshape>(input, integers({1, 32, 1, 3, 5}), false);
  const Value flat = op<v0::Squeeze>(transposed(x, {32, 16, 1, 2, 2}, 1), integers({2}));
  const Rewritten net(input, leaky_relu(instance_norm(conv(add_bias(flat), 16, {3}))));
  EXPECT_EQ(net.num<v0::Squeeze>() + net.num<v1::Reshape>(), 0);
  EXPECT_EQ(net.count.blocked, 1);
  const Value deep = transposed(x, {32, 16, 2, 2, 2}, 2);  // two slices of one
  EXPECT_EQ(Rewritten(input, op<v1::Reshape>(deep, integers({1, 32, 6, 10}), false)).num<v1::Reshape>(), 2);
}

TEST(CpuFusion, LeavesConvolutionsOfOtherForms) {
  const auto input = image({1, 16, 9, 10});
  const Value weights = random_constant({16, 16, 3, 3});
  const ov::CoordinateDiff pads(2, 2);
  const ov::Strides ones(2, 1), twos(2, 2);
  const Value dilated = op<v1::Convolution>(input, weights, ones, pads, pads, twos);
  const Value same = op<v1::Convolution>(dilated, weights, ones, pads, pads, ones, PadType::SAME_UPPER);
  const Value grouped = op<v1::GroupConvolution>(same, random_constant({2, 8, 8, 3, 3}), ones, pads, pads, ones);
  const Value half_weights = v0::Constant::create(ov::element::f16, {16, 16, 3, 3}, random_numbers(16 * 16 * 9));
  const Value half = op<v0::Convert>(grouped, ov::element::f16);
  const Rewritten net(
      input, op<v0::Convert>(op<v1::Convolution>(half, half_weights, ones, pads, pads, ones), ov::element::f32));
  EXPECT_EQ(net.count.convolutions, 0);
  EXPECT_EQ(net.count.all_convolutions, 3);
}

TEST(CpuFusion, SuitsNetworksOfLargeKernelsAndChannelsIn16s) {
  const auto suits = [](const ov::Shape& shape, std::size_t channels, const std::vector<std::size_t>& kernel) {
    const auto input = image(shape);
    const Value last = conv(input, channels, kernel);
    return suits_cpu_operators(ov::Model(ov::OutputVector{last}, ov::ParameterVector{input}));
  };
  EXPECT_TRUE(suits({1, 16, 4, 4, 4}, 32, {3}));
  EXPECT_TRUE(suits({1, 16, 4, 4, 4}, 16, {5}));
  EXPECT_TRUE(suits({1, 16, 4, 4, 4}, 16, {1, 3, 3}));
  EXPECT_TRUE(suits({1, 16, 4, 4}, 16, {3}));
  EXPECT_FALSE(suits({1, 16, 4, 4}, 16, {5}));
  EXPECT_FALSE(suits({1, 16, 4, 4, 4}, 16, {1}));
  EXPECT_FALSE(suits({1, 16, 4, 4, 4}, 24, {3}));
  EXPECT_FALSE(suits({1, 4, 4, 4, 4}, 16, {3}));
}

/// Files that tests in Python write: a line for each.
TEST(CpuFusion, ExportedNetworks) {
  const char* files = std::getenv("MINDVOXEL_ONNX");
  if (files == nullptr) GTEST_SKIP() << "MINDVOXEL_ONNX names no files";
  std::istringstream paths(files);
  for (std::string path; paths >> path;) {
    ov::Core core;  // outlives the model that it reads
    const auto model = core.read_model(path);
    const bool suits = suits_cpu_operators(*model);
    const Replaced count = Rewritten(model).count;
    std::cout << path << ": " << count.convolutions << " of " << count.all_convolutions << ", " << count.blocked
              << " blocked, " << count.normalisations << " normalisations" << (suits ? "" : ", not worth it") << "\n";
  }
}

}  // namespace
}  // namespace mindvoxel
