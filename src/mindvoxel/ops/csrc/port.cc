#include "port.h"

#include "arena.h"

namespace mindvoxel {
namespace {

std::optional<dnnl::reorder> Conversion(const Desc &from, const Desc &to) {
  if (from == to) return std::nullopt;
  return dnnl::reorder(dnnl::reorder::primitive_desc(Engine(), from, Engine(), to));
}

}  // namespace

Input::Input(const Desc &outer, const Desc &inner) : outer_(outer), inner_(inner), convert_(Conversion(outer, inner)) {}

memory Input::Bring(const float *data) const {
  memory outer(outer_, Engine(), const_cast<float *>(data));  // oneDNN's handles are not const; inputs are only read
  if (!convert_) return outer;
  memory inner = Arena::Get().Take(inner_);
  convert_->execute(Stream(), outer, inner);
  return inner;
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
