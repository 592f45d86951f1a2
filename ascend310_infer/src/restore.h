// The way back: planes on the network's grid become planes on the scan's, each class linearly, two held at once.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "stream.h"
#include "volume.h"

namespace mindvoxel {

/// For each voxel of a resized axis its lower and upper source voxel, and the upper one's share.
struct Taps {
  std::vector<std::size_t> low, high;
  std::vector<float> share;
};

/// Voxel o lies at (o + 0.5) * size / new_size - 0.5, kept within the axis.  nearest: that voxel alone, halves up.
Taps axis_taps(std::size_t size, std::size_t new_size, bool nearest);

/// Takes planes (K, H, W) in their order, and passes on those of another grid over the same extent.
class PlaneResizer {
 public:
  /// shape, new_shape: (D, H, W); nearest_axis: across it the nearest voxel is taken, -1: none.
  PlaneResizer(std::size_t num_planes, const Shape& shape, const Shape& new_shape, int nearest_axis,
               std::size_t threads, PlaneSink sink);

  /// The next of D planes; the last one brings the last of the new planes.
  void push(const float* plane);

 private:
  void resize_plane(const float* plane, float* out) const;
  void emit();

  const std::size_t num_planes_, threads_;
  const Shape shape_, new_shape_;
  const PlaneSink sink_;
  const bool same_;  ///< the grids are one: planes are passed on
  Taps depth_, rows_, columns_;
  std::vector<bool> wanted_;                ///< of each plane: whether a new one is made of it
  std::array<std::vector<float>, 2> held_;  ///< the last two, resized within themselves: plane i at i modulo 2
  std::vector<float> mixed_;
  std::size_t taken_ = 0, passed_ = 0;  ///< planes
};

/// Of n voxels the class of the largest value, the first of equals: values (K, n), class k at k * stride -> classes
/// (n). best: room for n values.
void largest_class(const float* values, std::size_t stride, std::size_t num_classes, std::size_t n, float* best,
                   std::int32_t* classes);

}  // namespace mindvoxel
