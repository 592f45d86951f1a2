#include "cpu_graph.h"

#include <algorithm>
#include <openvino/op/elu.hpp>
#include <openvino/op/prelu.hpp>
#include <openvino/op/relu.hpp>

namespace mindvoxel {

std::optional<float> number_of(const Value& value) {
  const std::vector<float> numbers = numbers_of<float>(value);
  return numbers.size() == 1 ? std::optional(numbers[0]) : std::nullopt;
}

NodePtr by_channel(const Value& value, const ov::Shape& shape) {
  const std::vector<float> numbers = numbers_of<float>(value);
  if (numbers.size() != shape[1]) return nullptr;
  ov::Shape wanted(shape.size(), 1), found = value.get_shape();
  wanted[1] = shape[1];
  if (found.size() > wanted.size()) return nullptr;
  found.insert(found.begin(), wanted.size() - found.size(), 1);  // as broadcasting does
  return found == wanted ? ov::op::v0::Constant::create(ov::element::f32, {shape[1]}, numbers) : nullptr;
}

bool is_image(const Value& value) {
  return value.get_element_type() == ov::element::f32 && value.get_partial_shape().is_static() &&
         value.get_shape().size() >= 3;
}

NodePtr only_taker(const NodePtr& node) {
  const auto takers = node->output(0).get_target_inputs();
  return takers.size() == 1 ? takers.begin()->get_node()->shared_from_this() : nullptr;
}

Value other_input(const NodePtr& binary, const NodePtr& node) {
  return binary->input_value(binary->get_input_node_shared_ptr(0) == node ? 1 : 0);
}

std::optional<Activation> activation_of(const NodePtr& node) {
  if (const auto elu = ov::as_type_ptr<ov::op::v0::Elu>(node)) {
    return elu->get_alpha() == 1.0 ? std::optional(Activation{Normalize::Act::kElu, 0}) : std::nullopt;
  }
  if (ov::as_type_ptr<ov::op::v0::Relu>(node)) return Activation{Normalize::Act::kLeaky, 0};
  if (ov::as_type_ptr<ov::op::v0::PRelu>(node)) {
    if (const auto slope = number_of(node->input_value(1))) return Activation{Normalize::Act::kLeaky, *slope};
  }
  return std::nullopt;
}

}  // namespace mindvoxel
