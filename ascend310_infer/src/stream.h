// Windows over a prepared image, their weighted mean plane by plane: the sum lives in a slab one window deep.
#pragma once

#include <cstddef>
#include <functional>

#include "bundle.h"
#include "engine.h"
#include "volume.h"

namespace mindvoxel {

/// Takes one plane (K, H, W) of float32, contiguous, which holds until the call returns.
using PlaneSink = std::function<void(const float* plane)>;

/// What is asked of the network, and how its answers are averaged.
struct Streaming {
  const Sliding& sliding;
  std::size_t num_classes = 0;  ///< that the network answers with
  bool mirrored = false;        ///< along sliding.tta_axes, too
  std::size_t threads = 1;
  std::function<void()> tick;  ///< after each call of the network

  /// K of the planes: 1 where the probability of class 1 is averaged.
  std::size_t num_planes() const { return sliding.average == "foreground" ? 1 : num_classes; }
};

/// The shape that windows cover: an image smaller than the window is padded, as much in front as behind.
Shape padded_shape(const Shape& shape, const Sliding& sliding);

/// The mean of all windows and mirrors: planes in order along the first axis, as many as the image has.
///
/// Memory: (K + 1) float32 planes for each plane of a window, one plane, a window and its answer.
/// Throws WorkError where an answer is not finite.
void stream_planes(const Image& image, Engine& engine, const Streaming& how, const PlaneSink& sink);

}  // namespace mindvoxel
