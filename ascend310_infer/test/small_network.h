// Small models for OpenVINO, written as MindSpore's exporter writes them, and their answers before and after the CPU
// operators are put in.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <openvino/core/model.hpp>
#include <openvino/op/ops.hpp>
#include <openvino/runtime/core.hpp>
#include <random>
#include <utility>
#include <vector>

#include "cpu_fusion.h"
#include "cpu_library.h"
#include "cpu_operators.h"

namespace mindvoxel {

using Value = ov::Output<ov::Node>;

/// The same numbers at each run, around `mean`.
inline std::vector<float> random_numbers(std::size_t count, float mean = 0) {
  static std::mt19937 generator(1);
  std::normal_distribution<float> normal(mean, 0.5F);
  std::vector<float> numbers(count);
  for (float& number : numbers) number = normal(generator);
  return numbers;
}

template <typename Op, typename... Args>
Value op(Args&&... args) {
  return std::make_shared<Op>(std::forward<Args>(args)...)->output(0);
}

inline Value constant(const ov::Shape& shape, const std::vector<float>& numbers) {
  return ov::op::v0::Constant::create(ov::element::f32, shape, numbers)->output(0);
}
inline Value random_constant(const ov::Shape& shape, float mean = 0) {
  return constant(shape, random_numbers(ov::shape_size(shape), mean));
}
inline Value integers(const std::vector<std::int64_t>& numbers) {
  return ov::op::v0::Constant::create(ov::element::i64, {numbers.size()}, numbers)->output(0);
}

/// Channels of an image, in the place of (1, C, 1, ...).
inline ov::Shape along_channels(const Value& x) {
  ov::Shape shape(x.get_shape().size(), 1);
  shape[1] = x.get_shape()[1];
  return shape;
}

/// kernel, stride, pad: alike on each axis unless `kernel` has more than one number.
inline Value conv(const Value& x, std::size_t channels, std::vector<std::size_t> kernel, std::size_t stride = 1) {
  using ov::op::v1::Convolution;
  const std::size_t axes = x.get_shape().size() - 2;
  if (kernel.size() == 1) kernel.assign(axes, kernel[0]);
  ov::Shape weights{channels, x.get_shape()[1]};
  weights.insert(weights.end(), kernel.begin(), kernel.end());
  const auto pad = static_cast<std::ptrdiff_t>(*std::max_element(kernel.begin(), kernel.end()) / 2);
  const ov::CoordinateDiff pads(axes, pad);
  return op<Convolution>(x, random_constant(weights), ov::Strides(axes, stride), pads, pads, ov::Strides(axes, 1));
}

inline Value add_bias(const Value& x) { return op<ov::op::v1::Add>(x, random_constant(along_channels(x))); }

/// Instance normalisation in basic operators; `axes`: those of its means.
inline Value instance_norm(const Value& x, const Value& scale, std::vector<std::int64_t> axes = {}) {
  using namespace ov::op;
  for (std::size_t i = 2; axes.size() + 2 < x.get_shape().size(); i++) axes.push_back(static_cast<std::int64_t>(i));
  const Value centred = op<v1::Subtract>(x, op<v1::ReduceMean>(x, integers(axes), true));
  const Value variance = op<v1::ReduceMean>(op<v1::Multiply>(centred, centred), integers(axes), true);
  const Value unit = op<v1::Divide>(centred, op<v0::Sqrt>(op<v1::Add>(variance, constant({}, {1e-5F}))));
  return op<v1::Add>(op<v1::Multiply>(unit, scale), random_constant(along_channels(x)));
}
inline Value instance_norm(const Value& x) { return instance_norm(x, random_constant(along_channels(x), 1)); }

inline Value leaky_relu(const Value& x, const Value& leak = constant({}, {0.01F})) {
  return op<ov::op::v1::Maximum>(op<ov::op::v1::Multiply>(leak, x), x);
}

inline Value elu(const Value& x) {
  using namespace ov::op;
  const Value below = op<v0::Relu>(op<v0::Negative>(x));
  return op<v1::Add>(op<v0::Relu>(x), op<v1::Subtract>(op<v0::Exp>(op<v0::Negative>(below)), constant({}, {1})));
}

inline std::shared_ptr<ov::op::v0::Parameter> image(const ov::Shape& shape) {
  return std::make_shared<ov::op::v0::Parameter>(ov::element::f32, shape);
}

inline std::vector<float> answer_of(const std::shared_ptr<ov::Model>& model, const std::vector<float>& numbers) {
  ov::Core core;
  auto compiled = core.compile_model(model, "CPU", ov::hint::inference_precision(ov::element::f32),
                                     ov::inference_num_threads(2), ov::hint::enable_cpu_pinning(false));
  auto request = compiled.create_infer_request();
  ov::Tensor input = request.get_input_tensor();
  std::copy(numbers.begin(), numbers.end(), input.data<float>());
  request.infer();
  const ov::Tensor output = request.get_output_tensor();
  return {output.data<float>(), output.data<float>() + output.get_size()};
}

/// A model after the operators are put in, which must answer as it did before.
struct Rewritten {
  /// From `input` to `last`.
  Rewritten(const std::shared_ptr<ov::op::v0::Parameter>& input, const Value& last)
      : Rewritten(std::make_shared<ov::Model>(ov::OutputVector{last}, ov::ParameterVector{input})) {}

  explicit Rewritten(const std::shared_ptr<ov::Model>& original)
      : model(original->clone()) {  // what a test still holds would be one more taker of what is put in
    const std::vector<float> numbers = random_numbers(ov::shape_size(model->input().get_shape()));
    const std::vector<float> expected = answer_of(model, numbers);
    count = use_cpu_operators(model);
    try {
      cpu_library().set_threads(1);  // LeakSanitizer stumbles over threads of OpenMP, which never end
    } catch (const CpuOperatorsUnused&) {
      return;  // such a machine counts what was put in, but cannot compute it
    }
    const std::vector<float> found = answer_of(model, numbers);
    float most = 0, difference = 0;
    for (std::size_t i = 0; i < expected.size(); i++) {
      most = std::max(most, std::abs(expected[i]));
      difference = std::max(difference, std::isfinite(found[i]) ? std::abs(found[i] - expected[i]) : INFINITY);
    }
    EXPECT_EQ(found.size(), expected.size());
    EXPECT_GT(most, 0);
    EXPECT_LT(difference, 1e-4F * most);
  }

  /// How many operations of a kind are in it.
  template <typename Kind>
  std::size_t num() const {
    const auto nodes = model->get_ops();
    return static_cast<std::size_t>(
        std::count_if(nodes.begin(), nodes.end(), [](const auto& node) { return ov::is_type<Kind>(node); }));
  }

  std::shared_ptr<ov::Model> model;
  Replaced count;
};

}  // namespace mindvoxel
