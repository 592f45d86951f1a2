#include "cpu_patterns.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <openvino/core/graph_util.hpp>
#include <openvino/op/add.hpp>
#include <openvino/op/batch_norm.hpp>
#include <openvino/op/convolution.hpp>
#include <openvino/op/divide.hpp>
#include <openvino/op/elu.hpp>
#include <openvino/op/exp.hpp>
#include <openvino/op/maximum.hpp>
#include <openvino/op/multiply.hpp>
#include <openvino/op/negative.hpp>
#include <openvino/op/prelu.hpp>
#include <openvino/op/reduce_mean.hpp>
#include <openvino/op/relu.hpp>
#include <openvino/op/reshape.hpp>
#include <openvino/op/slice.hpp>
#include <openvino/op/sqrt.hpp>
#include <openvino/op/subtract.hpp>
#include <openvino/pass/constant_folding.hpp>
#include <openvino/pass/graph_rewrite.hpp>
#include <openvino/pass/manager.hpp>
#include <openvino/pass/pattern/op/wrap_type.hpp>
#include <unordered_map>

#include "cpu_graph.h"

namespace mindvoxel {
namespace {

using namespace ov::op;
using ov::pass::GraphRewrite;
using ov::pass::pattern::any_input;
using ov::pass::pattern::wrap_type;
using Found = std::unordered_map<NodePtr, Value>;

/// `pattern` is the last node of what is looked for; `replace` gives what takes its place, or null where it is not
/// that.
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

/// Whether they are all axes but the first two.
bool are_space(const Value& axes, std::size_t rank) {
  auto found = numbers_of<std::int64_t>(axes);
  for (std::int64_t& axis : found) axis += axis < 0 ? static_cast<std::int64_t>(rank) : 0;
  std::sort(found.begin(), found.end());
  std::vector<std::int64_t> wanted(rank - 2);
  std::iota(wanted.begin(), wanted.end(), 2);
  return found == wanted;
}

bool keeps_axes(const Value& mean) { return ov::as_type<v1::ReduceMean>(mean.get_node())->get_keep_dims(); }

/// (x - mean) / sqrt(variance + epsilon) * scale + shift, in basic operators.
void add_instance_norm(GraphRewrite* rules) {
  const auto x = any_input(ov::pass::pattern::has_static_shape());
  const auto axes = wrap_type<v0::Constant>(), more_axes = wrap_type<v0::Constant>();
  const auto epsilon = wrap_type<v0::Constant>(), scale = wrap_type<v0::Constant>(), shift = wrap_type<v0::Constant>();
  const auto mean = wrap_type<v1::ReduceMean>({x, axes});
  const auto centred = wrap_type<v1::Subtract>({x, mean});
  const auto square = wrap_type<v1::Multiply>({centred, centred});
  const auto variance = wrap_type<v1::ReduceMean>({square, more_axes});
  const auto root = wrap_type<v0::Sqrt>({wrap_type<v1::Add>({variance, epsilon})});
  const auto unit = wrap_type<v1::Divide>({centred, root});
  const auto last = wrap_type<v1::Add>({wrap_type<v1::Multiply>({unit, scale}), shift});
  rules->add_matcher<Rule>("InstanceNorm", last, [=](const Found& found) -> NodePtr {
    const Value& from = found.at(x);
    if (!is_image(from) || found.at(last).get_shape() != from.get_shape()) return nullptr;
    const ov::Shape& shape = from.get_shape();
    const auto added = number_of(found.at(epsilon));
    const NodePtr gamma = by_channel(found.at(scale), shape), beta = by_channel(found.at(shift), shape);
    const bool fits = are_space(found.at(axes), shape.size()) && are_space(found.at(more_axes), shape.size()) &&
                      keeps_axes(found.at(mean)) && keeps_axes(found.at(variance));
    if (!gamma || !beta || !added || !fits) return nullptr;
    Normalize::Form form;
    form.epsilon = *added;
    return std::make_shared<Normalize>(ov::OutputVector{from, gamma, beta}, form);
  });
}

/// `norm` of x, where all is float32.
NodePtr given_norm(const Value& x, const Value& norm) {
  const auto node = ov::as_type_ptr<v5::BatchNormInference>(norm.get_node_shared_ptr());
  ov::OutputVector inputs{x};
  for (std::size_t i = 1; i < 5; i++) inputs.push_back(node->input_value(i));
  const bool fits = is_image(x) && std::all_of(inputs.begin() + 1, inputs.end(), [](const Value& value) {
                      return value.get_element_type() == ov::element::f32 && value.get_partial_shape().is_static();
                    });
  if (!fits) return nullptr;
  Normalize::Form form;
  form.given = true;
  form.epsilon = static_cast<float>(node->get_eps_value());
  return std::make_shared<Normalize>(inputs, form);
}

NodePtr batch_norm_of(const NodePtr& x) {
  return wrap_type<v5::BatchNormInference>({x, any_input(), any_input(), any_input(), any_input()});
}

/// Batch normalisation in 3-D: of a tensor whose space axes are made two before and three after.
void add_batch_norm_3d(GraphRewrite* rules) {
  const auto x = any_input(ov::pass::pattern::has_static_shape());
  const auto flat = wrap_type<v1::Reshape>({x, any_input()}, ov::pass::pattern::has_static_shape());
  const auto norm = batch_norm_of(flat);
  const auto back = wrap_type<v1::Reshape>({norm, any_input()}, ov::pass::pattern::has_static_shape());
  rules->add_matcher<Rule>("BatchNorm3d", back, [=](const Found& found) -> NodePtr {
    const ov::Shape shape = found.at(x).get_shape(), middle = found.at(flat).get_shape();
    const bool fits = shape == found.at(back).get_shape() && shape.size() >= 3 && middle.size() >= 2 &&
                      shape[0] == middle[0] && shape[1] == middle[1];
    return fits ? given_norm(found.at(x), found.at(norm)) : nullptr;
  });
}

void add_batch_norm(GraphRewrite* rules) {
  const auto x = any_input(ov::pass::pattern::has_static_shape()), norm = batch_norm_of(x);
  rules->add_matcher<Rule>("BatchNorm", norm,
                           [=](const Found& found) { return given_norm(found.at(x), found.at(norm)); });
}

/// max(x, 0) + (exp(-max(-x, 0)) - 1).
void add_elu(GraphRewrite* rules) {
  const auto x = any_input(), one = wrap_type<v0::Constant>();
  const auto below = wrap_type<v0::Relu>({wrap_type<v0::Negative>({x})});
  const auto power = wrap_type<v0::Exp>({wrap_type<v0::Negative>({below})});
  const auto last = wrap_type<v1::Add>({wrap_type<v0::Relu>({x}), wrap_type<v1::Subtract>({power, one})});
  rules->add_matcher<Rule>("Elu", last, [=](const Found& found) -> NodePtr {
    const bool fits =
        number_of(found.at(one)) == 1.0F && found.at(last).get_partial_shape() == found.at(x).get_partial_shape();
    return fits ? std::make_shared<v0::Elu>(found.at(x), 1.0) : nullptr;
  });
}

/// max(x, leak * x).
void add_leaky_relu(GraphRewrite* rules) {
  const auto x = any_input(), leak = wrap_type<v0::Constant>();
  const auto last = wrap_type<v1::Maximum>({wrap_type<v1::Multiply>({x, leak}), x});
  rules->add_matcher<Rule>("LeakyRelu", last, [=](const Found& found) -> NodePtr {
    const auto slope = number_of(found.at(leak));
    const bool fits = slope && *slope >= 0 && *slope <= 1 && found.at(x).get_element_type() == ov::element::f32 &&
                      found.at(last).get_partial_shape() == found.at(x).get_partial_shape();
    if (!fits) return nullptr;
    return std::make_shared<v0::PRelu>(found.at(x), v0::Constant::create(ov::element::f32, {1}, {*slope}));
  });
}

/// A slice that gives back what it takes: its step could only turn the order around.
void drop_whole_slice(const NodePtr& slice) {
  const Value x = slice->input_value(0);
  const auto steps = numbers_of<std::int64_t>(slice->input_value(3));
  const bool whole = x.get_partial_shape().is_static() && slice->get_output_partial_shape(0) == x.get_partial_shape() &&
                     std::all_of(steps.begin(), steps.end(), [](std::int64_t step) { return step == 1; });
  if (whole && is_constant(slice->input_value(3))) slice->output(0).replace(x);
}

/// Whether the node changes the shape alone, and that by an axis of size 1 after the channels: one more, or one fewer.
bool moves_depth(const NodePtr& node, bool in) {
  const std::string name = node->get_type_info().name;
  if (name != "Reshape" && name != (in ? "Unsqueeze" : "Squeeze")) return false;
  if (node->get_input_partial_shape(0).is_dynamic() || node->get_output_partial_shape(0).is_dynamic()) return false;
  ov::Shape from = node->get_input_shape(0), to = node->get_output_shape(0);
  if (!in) std::swap(from, to);
  if (from.size() != 4) return false;
  from.insert(from.begin() + 2, 1);
  return from == to;
}

/// A transposed convolution of depth 1 between two changes of shape becomes one in 2-D.
void flatten(const std::shared_ptr<v1::ConvolutionBackpropData>& conv) {
  const NodePtr before = conv->get_input_node_shared_ptr(0), after = only_taker(conv);
  const auto none = [](const auto& sizes) {
    return std::all_of(sizes.begin(), sizes.end(), [](auto size) { return size == 0; });
  };
  const bool fits = after && moves_depth(before, true) && moves_depth(after, false) && conv->get_input_size() == 2 &&
                    conv->get_auto_pad() == PadType::EXPLICIT && none(conv->get_output_padding()) &&
                    none(conv->get_pads_begin()) && none(conv->get_pads_end()) && is_constant(conv->input_value(1)) &&
                    conv->get_input_element_type(0) == ov::element::f32;
  if (!fits) return;
  ov::Shape shape = conv->get_input_shape(1);
  if (shape[2] != 1 || conv->get_strides()[0] != 1) return;
  shape.erase(shape.begin() + 2);
  const auto without_first = [](const auto& sizes) {
    return std::decay_t<decltype(sizes)>(sizes.begin() + 1, sizes.end());
  };
  const auto made = std::make_shared<v1::ConvolutionBackpropData>(
      before->input_value(0), v0::Constant::create(ov::element::f32, shape, numbers_of<float>(conv->input_value(1))),
      without_first(conv->get_strides()), without_first(conv->get_pads_begin()), without_first(conv->get_pads_end()),
      without_first(conv->get_dilations()));
  made->set_friendly_name(after->get_friendly_name());
  ov::replace_node(after, made);
}

}  // namespace

void gather_patterns(const std::shared_ptr<ov::Model>& model) {
  ov::pass::Manager folding;
  folding.register_pass<ov::pass::ConstantFolding>();
  folding.run_passes(model);
  for (const NodePtr& node : model->get_ordered_ops()) {
    if (ov::is_type<v8::Slice>(node)) drop_whole_slice(node);
    if (const auto conv = ov::as_type_ptr<v1::ConvolutionBackpropData>(node)) flatten(conv);
  }
  ov::pass::Manager manager;
  manager.set_per_pass_validation(false);
  const auto rules = manager.register_pass<GraphRewrite>();
  add_instance_norm(rules.get());
  add_batch_norm_3d(rules.get());
  add_elu(rules.get());
  add_leaky_relu(rules.get());
  const auto later = manager.register_pass<GraphRewrite>();  // those that are a part of nothing else
  add_batch_norm(later.get());
  manager.run_passes(model);
}

}  // namespace mindvoxel
