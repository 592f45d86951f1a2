// This project's CPU operators as operations of an OpenVINO model.
//
// Their tensors are float32.  One whose channels are a multiple of 16 may be *blocked*: it has them in groups of 16,
// (N, C/16, space..., 16) in memory, under the shape (N, C, space...) that OpenVINO sees.
#pragma once

#include <cstdint>
#include <memory>
#include <openvino/op/op.hpp>
#include <vector>

namespace mindvoxel {

/// A convolution, or a transposed one: x (N, C, space...), [further channels of x,] weights, [bias (C')] -> y.
class Convolve : public ov::op::Op {
 public:
  OPENVINO_OP("Convolve", "mindvoxel")

  struct Form {
    bool transposed = false;
    std::vector<std::int64_t> strides, pads_begin, pads_end;
    bool has_bias = false;
    bool blocked_in = false, blocked_out = false;
    bool joined = false;  ///< the channels of x lie in two blocked tensors
  };

  /// shape: of y.
  Convolve(const ov::OutputVector& inputs, Form form, const ov::Shape& shape);

  void validate_and_infer_types() override;
  bool visit_attributes(ov::AttributeVisitor& visitor) override;
  std::shared_ptr<ov::Node> clone_with_new_inputs(const ov::OutputVector& inputs) const override;
  bool has_evaluate() const override { return true; }
  /// Throws std::runtime_error with the library's reason.
  bool evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const override;

  Form form;

 private:
  ov::Shape shape_;
};

/// last(act(norm(x)) + residual): x, scale (C), shift (C), [mean (C), variance (C)], [residual] -> y of x's shape.
/// Without mean and variance those of each sample's channel are taken.  The residual has x's shape, or one channel for
/// all.
class Normalize : public ov::op::Op {
 public:
  OPENVINO_OP("Normalize", "mindvoxel")

  /// f(x): x; exp(x) - 1 below 0; leak x below 0.
  enum class Act { kNone, kElu, kLeaky };
  struct Form {
    bool given = false;  ///< mean and variance
    Act act = Act::kNone, last = Act::kNone;
    float epsilon = 0, leak = 0;
    bool has_residual = false;
    bool blocked = false;
  };

  Normalize(const ov::OutputVector& inputs, Form form);

  void validate_and_infer_types() override;
  bool visit_attributes(ov::AttributeVisitor& visitor) override;
  std::shared_ptr<ov::Node> clone_with_new_inputs(const ov::OutputVector& inputs) const override;
  bool has_evaluate() const override { return true; }
  /// Throws std::runtime_error with the library's reason.
  bool evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const override;

  Form form;
};

}  // namespace mindvoxel
