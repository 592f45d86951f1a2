#include "cpu_layout.h"

#include <algorithm>
#include <openvino/core/graph_util.hpp>
#include <openvino/op/add.hpp>
#include <openvino/op/concat.hpp>
#include <unordered_set>

#include "cpu_graph.h"

namespace mindvoxel {
namespace {

bool is_sum(const ov::Node* node) {
  return ov::is_type<ov::op::v1::Add>(node) && node->get_input_partial_shape(0).is_static() &&
         node->get_input_partial_shape(0) == node->get_input_partial_shape(1);
}

bool is_concat(const ov::Node* node) {
  const auto concat = ov::as_type<const ov::op::v0::Concat>(node);
  return concat != nullptr && concat->get_axis() == 1;
}

/// The tensors of its result's shape, or parts of it, that are blocked as the result is; none of a Convolve, which may
/// change the layout.
ov::OutputVector alike(const NodePtr& node) {
  if (ov::is_type<Convolve>(node)) return {};
  if (is_sum(node.get()) || is_concat(node.get())) return node->input_values();
  ov::OutputVector same{node->input_value(0)};
  const auto norm = ov::as_type_ptr<Normalize>(node);
  if (norm && norm->form.has_residual) {
    const Value residual = node->input_value(node->get_input_size() - 1);
    if (residual.get_shape() == node->get_output_shape(0)) same.push_back(residual);  // else it has one channel
  }
  return same;
}

bool may_be_blocked(const NodePtr& node) {
  if (node->get_output_size() != 1 || !is_image(node->output(0))) return false;
  const ov::Shape& shape = node->get_output_shape(0);
  const bool is_known = ov::is_type<Convolve>(node) || ov::is_type<Normalize>(node) || activation_of(node) ||
                        is_concat(node.get()) || is_sum(node.get());
  return is_known && shape[0] == 1 && shape[1] % 16 == 0 && shape.size() <= 5;
}

/// The nodes whose results are blocked.
class Blocked {
 public:
  explicit Blocked(const ov::Model& model) {
    const auto nodes = model.get_ordered_ops();
    for (const NodePtr& node : nodes) {
      if (may_be_blocked(node)) nodes_.insert(node.get());
    }
    bool settled = false;
    while (!settled) {  // one that is plain makes others plain
      settled = true;
      for (const NodePtr& node : nodes) {
        if (nodes_.count(node.get()) == 0 || (takers_agree(node) && sources_agree(node))) continue;
        nodes_.erase(node.get());
        settled = false;
      }
    }
  }

  bool has(const Value& value) const { return nodes_.count(value.get_node()) != 0; }

 private:
  bool takers_agree(const NodePtr& node) const {
    const auto takers = node->output(0).get_target_inputs();
    return std::all_of(takers.begin(), takers.end(), [&](const auto& input) {
      return ov::is_type<Convolve>(input.get_node()) || nodes_.count(input.get_node()) != 0;
    });
  }

  bool sources_agree(const NodePtr& node) const {
    const ov::OutputVector same = alike(node);
    return std::all_of(same.begin(), same.end(), [&](const Value& value) { return has(value); });
  }

  std::unordered_set<const ov::Node*> nodes_;
};

/// A Convolve that takes the two tensors of a blocked concatenation itself.
void join(const std::shared_ptr<Convolve>& conv) {
  const NodePtr source = conv->get_input_node_shared_ptr(0);
  if (!conv->form.blocked_in || !is_concat(source.get()) || source->get_input_size() != 2) return;
  ov::OutputVector inputs = source->input_values();
  for (std::size_t i = 1; i < conv->get_input_size(); i++) inputs.push_back(conv->input_value(i));
  Convolve::Form form = conv->form;
  form.joined = true;
  const auto made = std::make_shared<Convolve>(inputs, form, conv->get_output_shape(0));
  made->set_friendly_name(conv->get_friendly_name());
  ov::replace_node(conv, made);
}

}  // namespace

std::size_t lay_blocked(const ov::Model& model) {
  const Blocked blocked(model);
  std::size_t count = 0;
  for (const NodePtr& node : model.get_ordered_ops()) {
    if (const auto norm = ov::as_type_ptr<Normalize>(node)) norm->form.blocked = blocked.has(node->output(0));
    const auto conv = ov::as_type_ptr<Convolve>(node);
    if (!conv) continue;
    conv->form.blocked_in = blocked.has(conv->input_value(0));
    conv->form.blocked_out = blocked.has(conv->output(0));
    count += conv->form.blocked_out ? 1u : 0u;
  }
  for (const NodePtr& node : model.get_ordered_ops()) {  // last: `blocked` does not know what is made here
    if (const auto conv = ov::as_type_ptr<Convolve>(node)) join(conv);
  }
  return count;
}

}  // namespace mindvoxel
