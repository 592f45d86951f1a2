#include "cpu_fusion.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <openvino/core/graph_util.hpp>
#include <openvino/op/ops.hpp>
#include <openvino/pass/constant_folding.hpp>
#include <openvino/pass/graph_rewrite.hpp>
#include <openvino/pass/manager.hpp>
#include <openvino/pass/pattern/op/wrap_type.hpp>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cpu_operators.h"

namespace mindvoxel {
namespace {

using ov::as_type_ptr;
using ov::Node;
using ov::Output;
using ov::pass::pattern::any_input;
using ov::pass::pattern::wrap_type;
using NodePtr = std::shared_ptr<Node>;
using Constant = ov::op::v0::Constant;
using Found = std::unordered_map<NodePtr, Output<Node>>;

/// A rule of rewriting: `pattern` is its last node; `replace` gives what takes its place, or null.
class Rule : public ov::pass::MatcherPass {
 public:
  Rule(const char* name, const NodePtr& pattern, const std::function<NodePtr(const Found&)>& replace) {
    const auto callback = [replace](ov::pass::pattern::Matcher& matcher) {
      const auto& found = matcher.get_pattern_value_map();
      const NodePtr made = replace({found.begin(), found.end()});
      if (!made) return false;
      made->set_friendly_name(matcher.get_match_root()->get_friendly_name());
      ov::replace_node(matcher.get_match_root(), made);
      return true;
    };
    register_matcher(std::make_shared<ov::pass::pattern::Matcher>(pattern, name), callback);
  }
};

std::vector<float> floats(const Output<Node>& constant) {
  return ov::as_type_ptr<Constant>(constant.get_node_shared_ptr())->cast_vector<float>();
}

/// One number a channel as a constant of one axis, or null where it is something else.
NodePtr by_channel(const Output<Node>& constant, std::size_t channels) {
  const std::vector<float> values = floats(constant);
  if (values.size() != channels) return nullptr;
  return Constant::create(ov::element::f32, {channels}, values);
}

bool is_number(const Output<Node>& constant, float value) {
  const std::vector<float> values = floats(constant);
  return values.size() == 1 && values[0] == value;
}

/// Whether they are all axes but the first two.
bool are_space(const Output<Node>& axes, std::size_t rank) {
  std::vector<std::int64_t> found = ov::as_type_ptr<Constant>(axes.get_node_shared_ptr())->cast_vector<std::int64_t>();
  for (std::int64_t& axis : found) axis += axis < 0 ? static_cast<std::int64_t>(rank) : 0;
  std::sort(found.begin(), found.end());
  std::vector<std::int64_t> wanted(rank - 2);
  std::iota(wanted.begin(), wanted.end(), 2);
  return found == wanted;
}

/// (x - mean) / sqrt(variance + epsilon) * scale + shift, in basic operators.
void add_instance_norm(ov::pass::GraphRewrite* rules) {
  using namespace ov::op;
  const auto x = any_input(ov::pass::pattern::has_static_shape());
  const auto axes = wrap_type<Constant>(), more_axes = wrap_type<Constant>(), epsilon = wrap_type<Constant>();
  const auto scale = wrap_type<Constant>(), shift = wrap_type<Constant>();
  const auto mean = wrap_type<v1::ReduceMean>({x, axes});
  const auto centred = wrap_type<v1::Subtract>({x, mean});
  const auto square = wrap_type<v1::Multiply>({centred, centred});
  const auto variance = wrap_type<v1::ReduceMean>({square, more_axes});
  const auto root = wrap_type<v0::Sqrt>({wrap_type<v1::Add>({variance, epsilon})});
  const auto unit = wrap_type<v1::Divide>({centred, root});
  const auto last = wrap_type<v1::Add>({wrap_type<v1::Multiply>({unit, scale}), shift});
  rules->add_matcher<Rule>("InstanceNorm", last, [=](const Found& found) -> NodePtr {
    const ov::Shape shape = found.at(x).get_shape();
    const std::vector<float> added = floats(found.at(epsilon));
    const NodePtr gamma = by_channel(found.at(scale), shape[1]), beta = by_channel(found.at(shift), shape[1]);
    if (!gamma || !beta || added.size() != 1 || !are_space(found.at(axes), shape.size()) ||
        !are_space(found.at(more_axes), shape.size())) {
      return nullptr;
    }
    Normalize::Form form;
    form.epsilon = added[0];
    return std::make_shared<Normalize>(ov::OutputVector{found.at(x), gamma, beta}, form);
  });
}

NodePtr given_norm(const Output<Node>& x, const NodePtr& node) {
  const auto norm = as_type_ptr<ov::op::v5::BatchNormInference>(node);
  ov::OutputVector inputs{x};
  for (std::size_t i = 1; i < 5; i++) inputs.push_back(norm->input_value(i));
  Normalize::Form form;
  form.given = true;
  form.epsilon = static_cast<float>(norm->get_eps_value());
  return std::make_shared<Normalize>(inputs, form);
}

/// Batch normalisation, alone or, for 3-D, of a tensor that is reshaped before and after.
void add_batch_norm(ov::pass::GraphRewrite* rules) {
  using namespace ov::op;
  const auto x = any_input(ov::pass::pattern::has_static_shape());
  const auto flat = wrap_type<v1::Reshape>({x, wrap_type<Constant>()});
  const auto norm = wrap_type<v5::BatchNormInference>({flat, any_input(), any_input(), any_input(), any_input()});
  const auto back = wrap_type<v1::Reshape>({norm, wrap_type<Constant>()});
  rules->add_matcher<Rule>("BatchNorm3d", back, [=](const Found& found) -> NodePtr {
    const Output<Node> &from = found.at(x), &middle = found.at(flat);
    if (from.get_shape() != found.at(back).get_shape() || from.get_shape()[1] != middle.get_shape()[1] ||
        from.get_shape()[0] != middle.get_shape()[0]) {
      return nullptr;
    }
    return given_norm(from, found.at(norm).get_node_shared_ptr());
  });
}

/// max(x, 0) + (exp(-max(-x, 0)) - 1), as MindSpore's exporter writes an ELU.
void add_elu(ov::pass::GraphRewrite* rules) {
  using namespace ov::op;
  const auto x = any_input(), one = wrap_type<Constant>();
  const auto below = wrap_type<v0::Relu>({wrap_type<v0::Negative>({x})});
  const auto power = wrap_type<v0::Exp>({wrap_type<v0::Negative>({below})});
  const auto last = wrap_type<v1::Add>({wrap_type<v0::Relu>({x}), wrap_type<v1::Subtract>({power, one})});
  rules->add_matcher<Rule>("Elu", last, [=](const Found& found) -> NodePtr {
    if (!is_number(found.at(one), 1.0F)) return nullptr;
    return std::make_shared<v0::Elu>(found.at(x), 1.0);
  });
}

/// max(x, leak * x).
void add_leaky_relu(ov::pass::GraphRewrite* rules) {
  using namespace ov::op;
  const auto x = any_input(), leak = wrap_type<Constant>();
  const auto last = wrap_type<v1::Maximum>({wrap_type<v1::Multiply>({x, leak}), x});
  rules->add_matcher<Rule>("LeakyRelu", last, [=](const Found& found) -> NodePtr {
    const std::vector<float> slope = floats(found.at(leak));
    if (slope.size() != 1 || slope[0] < 0 || slope[0] > 1) return nullptr;
    return std::make_shared<v0::PRelu>(found.at(x), Constant::create(ov::element::f32, {1}, slope));
  });
}

struct Activation {
  Normalize::Act act;
  float leak;
};

std::optional<Activation> activation_of(const NodePtr& node) {
  if (const auto elu = as_type_ptr<ov::op::v0::Elu>(node)) {
    if (elu->get_alpha() == 1.0) return Activation{Normalize::Act::kElu, 0};
  }
  if (as_type_ptr<ov::op::v0::Relu>(node)) return Activation{Normalize::Act::kLeaky, 0};
  if (as_type_ptr<ov::op::v0::PRelu>(node) && as_type_ptr<Constant>(node->get_input_node_shared_ptr(1))) {
    const std::vector<float> slope = floats(node->input_value(1));
    if (slope.size() == 1) return Activation{Normalize::Act::kLeaky, slope[0]};
  }
  return std::nullopt;
}

/// The only one that takes the node's only result, or null.
NodePtr only_taker(const NodePtr& node) {
  const auto takers = node->output(0).get_target_inputs();
  return takers.size() == 1 ? takers.begin()->get_node()->shared_from_this() : nullptr;
}

/// The other summand of a sum with `node`, where it may be a residual of it.
std::optional<Output<Node>> residual_of(const NodePtr& sum, const NodePtr& node) {
  if (!as_type_ptr<ov::op::v1::Add>(sum)) return std::nullopt;
  const Output<Node> other = sum->input_value(sum->get_input_node_shared_ptr(0) == node ? 1 : 0);
  if (as_type_ptr<Constant>(other.get_node_shared_ptr()) || other.get_partial_shape().is_dynamic()) return std::nullopt;
  ov::Shape shape = node->get_output_shape(0);
  if (other.get_shape() == shape) return other;
  shape[1] = 1;
  return other.get_shape() == shape ? std::optional(other) : std::nullopt;
}

/// A normalisation takes in what follows it: activation, residual, activation.
void take_in(const std::shared_ptr<Normalize>& norm) {
  Normalize::Form form = norm->form;
  ov::OutputVector inputs = norm->input_values();
  NodePtr end = norm, next = only_taker(norm);
  if (const auto act = next ? activation_of(next) : std::nullopt) {
    form.act = act->act;
    form.leak = act->leak;
    end = next;
    next = only_taker(end);
  }
  if (const auto residual = next ? residual_of(next, end) : std::nullopt) {
    form.has_residual = true;
    inputs.push_back(*residual);
    end = next;
    next = only_taker(end);
    const auto last = next ? activation_of(next) : std::nullopt;
    const bool fits = last && (last->act != Normalize::Act::kLeaky || form.act != Normalize::Act::kLeaky ||
                               last->leak == form.leak);  // there is one slope for both
    if (fits) {
      form.last = last->act;
      if (last->act == Normalize::Act::kLeaky) form.leak = last->leak;
      end = next;
    }
  }
  if (end == norm) return;
  const auto made = std::make_shared<Normalize>(inputs, form);
  made->set_friendly_name(end->get_friendly_name());
  ov::replace_node(end, made);
}

template <typename Kind>
std::shared_ptr<Convolve> convolve(const std::shared_ptr<Kind>& node, bool transposed) {
  const bool is_dense = std::all_of(node->get_dilations().begin(), node->get_dilations().end(),
                                    [](std::size_t dilation) { return dilation == 1; });
  if (!is_dense || node->get_output_partial_shape(0).is_dynamic() || node->get_input_size() != 2) return nullptr;
  Convolve::Form form;
  form.transposed = transposed;
  form.strides.assign(node->get_strides().begin(), node->get_strides().end());
  form.pads_begin.assign(node->get_pads_begin().begin(), node->get_pads_begin().end());
  form.pads_end.assign(node->get_pads_end().begin(), node->get_pads_end().end());
  const ov::Shape shape = node->output(0).get_shape();
  ov::OutputVector inputs = node->input_values();
  NodePtr end = node;
  const NodePtr next = only_taker(node);
  if (next && as_type_ptr<ov::op::v1::Add>(next)) {
    const Output<Node> other = next->input_value(next->get_input_node_shared_ptr(0) == node ? 1 : 0);
    ov::Shape one(shape.size(), 1);
    one[1] = shape[1];
    if (as_type_ptr<Constant>(other.get_node_shared_ptr()) && other.get_shape() == one) {
      inputs.push_back(by_channel(other, shape[1]));
      form.has_bias = true;
      end = next;
    }
  }
  const auto made = std::make_shared<Convolve>(inputs, form, shape);
  made->set_friendly_name(end->get_friendly_name());
  ov::replace_node(end, made);
  return made;
}

/// Which tensors of the model are blocked: of Convolve, of Normalize, and their concatenations.
class Layout {
 public:
  explicit Layout(const ov::Model& model) {
    for (const NodePtr& node : model.get_ordered_ops()) {
      const bool is_ours = as_type_ptr<Convolve>(node) || as_type_ptr<Normalize>(node) || is_concat(node);
      if (!is_ours) continue;
      nodes_.push_back(node);
      const ov::Shape shape = node->get_output_shape(0);
      blocked_[node.get()] = shape[1] % 16 == 0 && shape[0] == 1;
    }
    while (settle()) {
    }
  }

  bool is_blocked(const Output<Node>& value) const {
    const auto found = blocked_.find(value.get_node());
    return found != blocked_.end() && found->second;
  }
  const std::vector<NodePtr>& nodes() const { return nodes_; }

 private:
  static bool is_concat(const NodePtr& node) {
    const auto concat = as_type_ptr<ov::op::v0::Concat>(node);
    return concat && concat->get_output_partial_shape(0).is_static() && concat->get_output_shape(0).size() >= 4 &&
           concat->get_axis() == 1;
  }

  /// The tensors that are blocked if the node's result is, and only then.
  static ov::OutputVector alike(const NodePtr& node) {
    if (as_type_ptr<Convolve>(node)) return {};
    if (const auto norm = as_type_ptr<Normalize>(node)) {
      ov::OutputVector same{node->input_value(0)};
      const Output<Node> last = node->input_value(node->get_input_size() - 1);
      if (norm->form.has_residual && last.get_shape() == node->get_output_shape(0)) same.push_back(last);
      return same;
    }
    return node->input_values();
  }

  /// Whether a taker can read it blocked: all that our operators read are.
  bool may_take(const ov::Input<Node>& input) const { return blocked_.count(input.get_node()) != 0; }

  bool settle() {
    bool changed = false;
    const auto set_plain = [&](Node* node) {
      const auto found = blocked_.find(node);
      if (found == blocked_.end() || !found->second) return;
      found->second = false;
      changed = true;
    };
    for (const NodePtr& node : nodes_) {
      for (const auto& input : node->output(0).get_target_inputs()) {
        const bool spread = as_residual_of_one(input);
        if (!may_take(input) || spread) set_plain(node.get());
      }
      const ov::OutputVector same = alike(node);
      const bool all = is_blocked(node->output(0)) &&
                       std::all_of(same.begin(), same.end(), [&](const auto& value) { return is_blocked(value); });
      if (all || same.empty()) continue;
      set_plain(node.get());
      for (const auto& value : same) set_plain(value.get_node());
    }
    return changed;
  }

  static bool as_residual_of_one(const ov::Input<Node>& input) {
    return ov::as_type<Normalize>(input.get_node()) != nullptr && input.get_shape() != input.get_node()->get_output_shape(0) &&
           input.get_index() > 0;
  }

  std::vector<NodePtr> nodes_;
  std::unordered_map<Node*, bool> blocked_;
};

void lay_blocked(const ov::Model& model) {
  const Layout layout(model);
  for (const NodePtr& node : layout.nodes()) {
    if (const auto norm = as_type_ptr<Normalize>(node)) norm->form.blocked = layout.is_blocked(node->output(0));
    const auto conv = as_type_ptr<Convolve>(node);
    if (!conv) continue;
    conv->form.blocked_in = layout.is_blocked(conv->input_value(0));
    conv->form.blocked_out = layout.is_blocked(conv->output(0));
    const auto concat = as_type_ptr<ov::op::v0::Concat>(conv->get_input_node_shared_ptr(0));
    if (!concat || !conv->form.blocked_in || concat->get_input_size() != 2) continue;
    ov::OutputVector inputs = concat->input_values();
    for (std::size_t i = 1; i < conv->get_input_size(); i++) inputs.push_back(conv->input_value(i));
    Convolve::Form form = conv->form;
    form.joined = true;
    const auto made = std::make_shared<Convolve>(inputs, form, conv->get_output_shape(0));
    made->set_friendly_name(conv->get_friendly_name());
    ov::replace_node(conv, made);
  }
}

}  // namespace

bool suits_cpu_operators(const ov::Model& model) {
  double all = 0, fast = 0;
  for (const NodePtr& node : model.get_ordered_ops()) {
    const auto conv = as_type_ptr<ov::op::v1::Convolution>(node);
    if (!conv || conv->get_output_partial_shape(0).is_dynamic()) continue;
    const ov::Shape weights = conv->get_input_shape(1);
    const double count = static_cast<double>(ov::shape_size(weights)) *
                         static_cast<double>(ov::shape_size(conv->get_output_shape(0)) / weights[0]);
    all += count;
    const std::size_t kernel = weights[weights.size() - 2];
    const bool steps = std::any_of(conv->get_strides().begin(), conv->get_strides().end(),
                                   [](std::size_t stride) { return stride != 1; });
    if (!steps && weights[0] % 16 == 0 && weights[1] % 16 == 0 && (kernel == 3 || kernel == 5)) fast += count;
  }
  return 2 * fast > all;
}

void use_cpu_operators(const std::shared_ptr<ov::Model>& model) {
  ov::pass::Manager manager;
  manager.set_per_pass_validation(false);
  manager.register_pass<ov::pass::ConstantFolding>();
  const auto rules = manager.register_pass<ov::pass::GraphRewrite>();
  add_instance_norm(rules.get());
  add_batch_norm(rules.get());
  add_elu(rules.get());
  add_leaky_relu(rules.get());
  manager.run_passes(model);
  for (const NodePtr& node : model->get_ordered_ops()) {
    if (const auto norm = as_type_ptr<Normalize>(node)) take_in(norm);
  }
  for (const NodePtr& node : model->get_ordered_ops()) {
    if (const auto conv = as_type_ptr<ov::op::v1::Convolution>(node)) convolve(conv, false);
    if (const auto conv = as_type_ptr<ov::op::v1::ConvolutionBackpropData>(node)) convolve(conv, true);
  }
  lay_blocked(*model);
}

}  // namespace mindvoxel
