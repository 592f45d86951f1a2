// The weighted sum of windows for as many planes as a window is deep.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "stream.h"

namespace mindvoxel {

/// Plane z lies at z modulo the window's depth.
class Slab {
 public:
  /// shape: of the whole padded image.
  Slab(const Shape& shape, const Streaming& how);

  /// Add the answer (num_classes, D, H, W) to a window that starts at `start`; mirrored: axes along which it has still
  /// to be mirrored back.
  void add(const Shape& start, const float* answer, const std::array<bool, 3>& mirrored);

  /// The mean of plane z, of its `shape` (H, W) from `start` (y, x) on -> mean (K, H, W); false where a value is not
  /// finite.
  bool mean(std::size_t z, std::array<std::size_t, 2> start, std::array<std::size_t, 2> shape, float* mean) const;

  /// Make the room of plane z free for plane z + depth.
  void clear(std::size_t z);

 private:
  /// Add row y of plane z of a window; scratch: (num_classes, W).
  void add_row(const Shape& start, const float* answer, const std::array<bool, 3>& mirrored, std::size_t z,
               std::size_t y, std::vector<float>& scratch);

  const Streaming& how_;
  const Shape box_;                                ///< the window
  const std::size_t height_, width_, num_planes_;  ///< of the image; K
  const std::vector<float> weight_;                ///< (D, H, W) of the window
  std::vector<float> total_;                       ///< (depth, K, height, width)
  std::vector<float> norm_;                        ///< (depth, height, width)
};

}  // namespace mindvoxel
