// One tensor on its way between the caller's layout and the layout that a primitive computes in.
#pragma once

#include <optional>

#include "arena.h"

namespace mindvoxel {

// From the caller's f32 memory into the primitive's layout and type.
class Input {
 public:
  Input() = default;
  Input(const Desc &outer, const Desc &inner);
  // The converted tensor in the arena, or the caller's own memory where both descriptions agree.
  memory Bring(const float *data) const;
  bool converts() const { return convert_.has_value(); }
  void Convert(const float *data, memory inner) const;
  const Desc &inner() const { return inner_; }

 private:
  memory Outer(const float *data) const;

  Desc outer_, inner_;
  std::optional<dnnl::reorder> convert_;
};

// The weights' way into the primitive's layout. `keeps`: every call brings the same numbers, which are converted in the
// first one only.
class Weights {
 public:
  Weights() = default;
  Weights(const Desc &outer, const Desc &inner, bool keeps) : input_(outer, inner), keeps_(keeps) {}
  memory Bring(const float *data) const;

 private:
  Input input_;
  bool keeps_ = false;
  mutable std::optional<Kept> kept_;
};

// From the primitive's layout out to the caller's f32 memory.
class Output {
 public:
  Output() = default;
  Output(const Desc &outer, const Desc &inner);
  memory Room(float *data) const;                       // where the primitive is to write
  void Deliver(const memory &room, float *data) const;  // and how it reaches the caller
 private:
  Desc outer_, inner_;
  std::optional<dnnl::reorder> convert_;
};

}  // namespace mindvoxel
