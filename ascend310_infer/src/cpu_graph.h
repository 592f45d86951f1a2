// What the rewriting of a model for the CPU operators asks of its nodes.
#pragma once

#include <memory>
#include <openvino/core/node.hpp>
#include <openvino/op/constant.hpp>
#include <optional>
#include <vector>

#include "cpu_operators.h"

namespace mindvoxel {

using NodePtr = std::shared_ptr<ov::Node>;
using Value = ov::Output<ov::Node>;

inline bool is_constant(const Value& value) { return ov::is_type<ov::op::v0::Constant>(value.get_node()); }

/// The numbers of a constant; none where it is no constant.
template <typename Number>
std::vector<Number> numbers_of(const Value& value) {
  const auto constant = ov::as_type_ptr<ov::op::v0::Constant>(value.get_node_shared_ptr());
  return constant ? constant->cast_vector<Number>() : std::vector<Number>{};
}

/// A constant that holds one number, by which something is multiplied or that is added.
std::optional<float> number_of(const Value& value);

/// A constant that holds one number for each channel of tensors of this shape, whatever broadcasting makes of it, as
/// (C); null where it is something else.
NodePtr by_channel(const Value& value, const ov::Shape& shape);

/// Whether it is float32, of a known shape (N, C, space...).
bool is_image(const Value& value);

/// The only one that takes the node's result, once; or null.
NodePtr only_taker(const NodePtr& node);

/// The summand or factor beside `node`.
Value other_input(const NodePtr& binary, const NodePtr& node);

struct Activation {
  Normalize::Act act;
  float leak;
};

/// What a node does to each number, where Normalize can do it, too.
std::optional<Activation> activation_of(const NodePtr& node);

}  // namespace mindvoxel
