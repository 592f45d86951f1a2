#include "port.h"

#include <utility>

namespace mindvoxel {
namespace {

std::optional<dnnl::reorder> Conversion(const Desc &from, const Desc &to) {
  if (from == to) return std::nullopt;
  return dnnl::reorder(dnnl::reorder::primitive_desc(Engine(), from, Engine(), to));
}

}  // namespace

Input::Input(const Desc &outer, const Desc &inner) : outer_(outer), inner_(inner), convert_(Conversion(outer, inner)) {}

// oneDNN's handles are not const; inputs are only read.
memory Input::Outer(const float *data) const { return {outer_, Engine(), const_cast<float *>(data)}; }

void Input::Convert(const float *data, memory inner) const {
  memory outer = Outer(data);
  convert_->execute(Stream(), outer, inner);
}

memory Input::Bring(const float *data) const {
  if (!convert_) return Outer(data);
  memory inner = Arena::Get().Take(inner_);
  Convert(data, inner);
  return inner;
}

memory Weights::Bring(const float *data) const {
  if (!keeps_ || !input_.converts()) return input_.Bring(data);
  if (!kept_) {
    Kept fresh(input_.inner());
    input_.Convert(data, fresh.get());
    kept_.emplace(std::move(fresh));
  }
  return kept_->get();
}

Output::Output(const Desc &outer, const Desc &inner)
    : outer_(outer), inner_(inner), convert_(Conversion(inner, outer)) {}

memory Output::Room(float *data) const { return convert_ ? Arena::Get().Take(inner_) : memory(outer_, Engine(), data); }

void Output::Deliver(const memory &room, float *data) const {
  if (!convert_) return;
  memory inner = room;
  memory outer(outer_, Engine(), data);
  convert_->execute(Stream(), inner, outer);
}

}  // namespace mindvoxel
