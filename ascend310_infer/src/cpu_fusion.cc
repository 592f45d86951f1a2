#include "cpu_fusion.h"

#include <algorithm>
#include <openvino/core/graph_util.hpp>
#include <openvino/op/add.hpp>
#include <openvino/op/convolution.hpp>
#include <openvino/op/slice.hpp>
#include <optional>
#include <utility>

#include "cpu_graph.h"
#include "cpu_layout.h"
#include "cpu_patterns.h"

namespace mindvoxel {
namespace {

using Convolution = ov::op::v1::Convolution;
using Transposed = ov::op::v1::ConvolutionBackpropData;

template <typename Sizes>
bool all_are(const Sizes& sizes, std::size_t wanted) {
  return std::all_of(sizes.begin(), sizes.end(), [&](auto size) { return static_cast<std::size_t>(size) == wanted; });
}

/// The other summand of a sum with `node`, where Normalize can add it: of the same shape, or one channel for all.
std::optional<Value> residual_of(const NodePtr& sum, const NodePtr& node) {
  if (!ov::is_type<ov::op::v1::Add>(sum)) return std::nullopt;
  const Value other = other_input(sum, node);
  if (!is_image(other)) return std::nullopt;
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
    end = std::exchange(next, only_taker(next));
  }
  if (const auto residual = next ? residual_of(next, end) : std::nullopt) {
    form.has_residual = true;
    inputs.push_back(*residual);
    end = std::exchange(next, only_taker(next));
    const auto last = next ? activation_of(next) : std::nullopt;
    const bool are_leaky = last && last->act == Normalize::Act::kLeaky && form.act == Normalize::Act::kLeaky;
    if (last && (!are_leaky || last->leak == form.leak)) {  // there is one slope for both
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

/// Less padding in the place of a slice that cuts off what the padding made: `form` without the ends of each axis that
/// `slice` takes away; none where it is not such a slice.
std::optional<Convolve::Form> without_ends(Convolve::Form form, const NodePtr& slice) {
  if (form.transposed || !ov::is_type<ov::op::v8::Slice>(slice) || slice->get_input_size() != 5) return std::nullopt;
  const ov::Shape shape = slice->get_input_shape(0);
  const auto list = [&](std::size_t i) { return numbers_of<std::int64_t>(slice->input_value(i)); };
  const auto starts = list(1), stops = list(2), steps = list(3), axes = list(4);
  const bool is_known =
      !axes.empty() && starts.size() == axes.size() && stops.size() == axes.size() && steps.size() == axes.size();
  if (!is_known || !all_are(steps, 1) || ov::shape_size(slice->get_output_shape(0)) == 0) return std::nullopt;
  for (std::size_t i = 0; i < axes.size(); i++) {
    if (axes[i] < 2) return std::nullopt;
    const auto axis = static_cast<std::size_t>(axes[i] - 2);
    const auto size = static_cast<std::int64_t>(shape[axis + 2]);
    const auto place = [&](std::int64_t at) { return std::clamp<std::int64_t>(at < 0 ? at + size : at, 0, size); };
    const std::int64_t first = place(starts[i]), cut = size - place(stops[i]);
    const bool fits = form.strides[axis] == 1 && first <= form.pads_begin[axis] && cut <= form.pads_end[axis];
    if (!fits) return std::nullopt;
    form.pads_begin[axis] -= first;
    form.pads_end[axis] -= cut;
  }
  return form;
}

/// What Convolve needs to know of a convolution that it can compute.
template <typename Kind>
std::optional<Convolve::Form> form_of(const std::shared_ptr<Kind>& conv) {
  const NodePtr node = conv;
  const bool fits = all_are(conv->get_dilations(), 1) && conv->get_auto_pad() == ov::op::PadType::EXPLICIT &&
                    node->get_input_size() == 2 && is_image(node->output(0)) && is_image(node->input_value(0)) &&
                    node->get_output_shape(0).size() <= 5 && is_constant(node->input_value(1)) &&
                    node->get_input_element_type(1) == ov::element::f32;
  if (!fits) return std::nullopt;
  Convolve::Form form;
  form.strides.assign(conv->get_strides().begin(), conv->get_strides().end());
  form.pads_begin.assign(conv->get_pads_begin().begin(), conv->get_pads_begin().end());
  form.pads_end.assign(conv->get_pads_end().begin(), conv->get_pads_end().end());
  return form;
}

std::optional<Convolve::Form> form_of(const NodePtr& node) {
  if (const auto conv = ov::as_type_ptr<Convolution>(node)) return form_of(conv);
  const auto conv = ov::as_type_ptr<Transposed>(node);
  if (!conv || !all_are(conv->get_output_padding(), 0)) return std::nullopt;
  auto form = form_of(conv);
  if (form) form->transposed = true;
  return form;
}

/// A convolution takes in what follows it: bias, slice.
bool replace(const NodePtr& node) {
  auto form = form_of(node);
  if (!form) return false;
  ov::OutputVector inputs = node->input_values();
  NodePtr end = node, next = only_taker(node);
  if (next && ov::is_type<ov::op::v1::Add>(next)) {
    if (const NodePtr bias = by_channel(other_input(next, node), node->get_output_shape(0))) {
      inputs.push_back(bias);
      form->has_bias = true;
      end = std::exchange(next, only_taker(next));
    }
  }
  if (const auto smaller = next ? without_ends(*form, next) : std::nullopt) {
    form = smaller;
    end = next;
  }
  const auto made = std::make_shared<Convolve>(inputs, *form, end->get_output_shape(0));
  made->set_friendly_name(end->get_friendly_name());
  ov::replace_node(end, made);
  return true;
}

bool is_convolution(const NodePtr& node) { return ov::is_type<Convolution>(node) || ov::is_type<Transposed>(node); }

/// Of taps along depth and height: those of winograd::FindVariant (winograd_kernels.h).
bool has_winograd(const Convolution& conv) {
  const ov::Shape weights = conv.get_input_shape(1);
  if (weights.size() < 4 || weights[0] % 16 != 0 || weights[1] % 16 != 0 || !all_are(conv.get_strides(), 1))
    return false;
  const std::size_t depth = weights.size() == 5 ? weights[2] : 1, height = weights[weights.size() - 2];
  return (height == 5 && depth == 5) || (height == 3 && (depth == 3 || depth == 1));
}

}  // namespace

bool suits_cpu_operators(const ov::Model& model) {
  double all = 0, fast = 0;
  for (const NodePtr& node : model.get_ordered_ops()) {
    if (!is_convolution(node) || node->get_output_partial_shape(0).is_dynamic()) continue;
    const auto conv = ov::as_type_ptr<Convolution>(node);
    const ov::Shape image = conv ? node->get_output_shape(0) : node->get_input_shape(0);  // each voxel with all taps
    const auto taps = static_cast<double>(ov::shape_size(node->get_input_shape(1)));
    const double count = taps * static_cast<double>(ov::shape_size(image) / image[1]);
    all += count;
    if (conv && form_of(node) && has_winograd(*conv)) fast += count;
  }
  return 2 * fast > all;
}

Replaced use_cpu_operators(const std::shared_ptr<ov::Model>& model) {
  gather_patterns(model);
  Replaced count;
  for (const NodePtr& node : model->get_ordered_ops()) {
    if (const auto norm = ov::as_type_ptr<Normalize>(node)) take_in(norm);
    if (is_convolution(node)) {
      count.all_convolutions++;
      count.convolutions += replace(node) ? 1u : 0u;
    }
  }
  for (const NodePtr& node : model->get_ordered_ops()) count.normalisations += ov::is_type<Normalize>(node) ? 1u : 0u;
  count.blocked = lay_blocked(*model);
  return count;
}

}  // namespace mindvoxel
