#include "cpu_operators.h"

#include <stdexcept>
#include <utility>

#include "cpu_library.h"

namespace mindvoxel {
namespace {

/// The arguments of one call.
class Call {
 public:
  void add(void* data, std::vector<std::int64_t> shape, const char* type = "float32") {
    data_.push_back(data);
    shapes_.push_back(std::move(shape));
    types_.push_back(type);
  }
  void add(const ov::Tensor& tensor) {
    const ov::Shape& shape = tensor.get_shape();
    add(const_cast<void*>(std::as_const(tensor).data()), {shape.begin(), shape.end()});
  }

  void run(CpuLibrary::Operator function) {
    std::vector<int> ranks;
    std::vector<std::int64_t*> sizes;
    for (std::vector<std::int64_t>& shape : shapes_) {
      ranks.push_back(static_cast<int>(shape.size()));
      sizes.push_back(shape.data());
    }
    const int count = static_cast<int>(data_.size());
    if (function(count, data_.data(), ranks.data(), sizes.data(), types_.data(), nullptr, nullptr) != 0) {
      throw std::runtime_error(why_it_failed());
    }
  }

 private:
  std::vector<void*> data_;
  std::vector<std::vector<std::int64_t>> shapes_;
  std::vector<const char*> types_;
};

}  // namespace

Convolve::Convolve(const ov::OutputVector& inputs, Form chosen, const ov::Shape& shape)
    : Op(inputs), form(std::move(chosen)), shape_(shape) {
  constructor_validate_and_infer_types();
}

void Convolve::validate_and_infer_types() { set_output_type(0, ov::element::f32, shape_); }

bool Convolve::visit_attributes(ov::AttributeVisitor& visitor) {
  visitor.on_attribute("transposed", form.transposed);
  visitor.on_attribute("strides", form.strides);
  visitor.on_attribute("pads_begin", form.pads_begin);
  visitor.on_attribute("pads_end", form.pads_end);
  visitor.on_attribute("has_bias", form.has_bias);
  visitor.on_attribute("blocked_in", form.blocked_in);
  visitor.on_attribute("blocked_out", form.blocked_out);
  visitor.on_attribute("joined", form.joined);
  return true;
}

std::shared_ptr<ov::Node> Convolve::clone_with_new_inputs(const ov::OutputVector& inputs) const {
  return std::make_shared<Convolve>(inputs, form, shape_);
}

bool Convolve::evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const {
  std::vector<std::int64_t> numbers{form.transposed};
  for (const auto* values : {&form.strides, &form.pads_begin, &form.pads_end}) {
    numbers.insert(numbers.end(), values->begin(), values->end());
  }
  numbers.insert(numbers.end(), {form.blocked_in, form.blocked_out, form.joined});
  Call call;
  for (const ov::Tensor& input : inputs) call.add(input);
  call.add(numbers.data(), {static_cast<std::int64_t>(numbers.size())}, "int64");
  call.add(outputs[0]);
  call.run(cpu_library().convolve);
  return true;
}

Normalize::Normalize(const ov::OutputVector& inputs, Form chosen) : Op(inputs), form(chosen) {
  constructor_validate_and_infer_types();
}

void Normalize::validate_and_infer_types() { set_output_type(0, ov::element::f32, get_input_partial_shape(0)); }

bool Normalize::visit_attributes(ov::AttributeVisitor& visitor) {
  auto act = static_cast<std::int64_t>(form.act), last = static_cast<std::int64_t>(form.last);
  visitor.on_attribute("given", form.given);
  visitor.on_attribute("act", act);
  visitor.on_attribute("last", last);
  visitor.on_attribute("epsilon", form.epsilon);
  visitor.on_attribute("leak", form.leak);
  visitor.on_attribute("has_residual", form.has_residual);
  visitor.on_attribute("blocked", form.blocked);
  return true;
}

std::shared_ptr<ov::Node> Normalize::clone_with_new_inputs(const ov::OutputVector& inputs) const {
  return std::make_shared<Normalize>(inputs, form);
}

bool Normalize::evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const {
  const float keep = 0;  // of running statistics, which only training has
  std::vector<float> numbers{form.given ? 2.0F : 1.0F,
                             static_cast<float>(form.act),
                             static_cast<float>(form.last),
                             static_cast<float>(form.has_residual),
                             form.epsilon,
                             keep,
                             form.leak,
                             static_cast<float>(form.blocked)};
  const ov::Shape& shape = inputs[0].get_shape();
  const std::size_t groups = form.given ? shape[1] : shape[0] * shape[1];
  std::vector<float> mean(groups), inverse_deviation(groups);
  Call call;
  call.add(numbers.data(), {static_cast<std::int64_t>(numbers.size())});
  for (const ov::Tensor& input : inputs) call.add(input);
  call.add(outputs[0]);
  for (std::vector<float>* unused : {&mean, &inverse_deviation}) {
    call.add(unused->data(), {static_cast<std::int64_t>(groups)});
  }
  call.run(cpu_library().normalize);
  return true;
}

}  // namespace mindvoxel
