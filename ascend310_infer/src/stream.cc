#include "stream.h"

#include <algorithm>
#include <string>
#include <vector>

#include "errors.h"
#include "slab.h"
#include "windows.h"

namespace mindvoxel {
namespace {

/// Voxels of padding in front of each axis; the odd one goes behind.
Shape padding_in_front(const Shape& shape, const Shape& padded) {
  Shape front{};
  for (std::size_t axis = 0; axis < 3; ++axis) front[axis] = (padded[axis] - shape[axis]) / 2;
  return front;
}

/// Copies windows out of an image that is thought of as padded.
class Cutter {
 public:
  Cutter(const Image& image, const Shape& front, const Sliding& sliding)
      : image_(image), front_(front), box_(sliding.box()), pad_value_(sliding.pad_value) {}

  /// The window (C, D, H, W) that starts at `start` of the padded image, mirrored -> out.
  void cut(const Shape& start, const std::array<bool, 3>& mirrored, float* out) const {
    for (std::size_t c = 0; c < image_.channels; ++c) {
      for (std::size_t z = 0; z < box_[0]; ++z) {
        for (std::size_t y = 0; y < box_[1]; ++y, out += box_[2]) {
          const std::size_t from_z = start[0] + (mirrored[0] ? box_[0] - 1 - z : z);
          const std::size_t from_y = start[1] + (mirrored[1] ? box_[1] - 1 - y : y);
          cut_row(c, from_z, from_y, start[2], out);
          if (mirrored[2]) std::reverse(out, out + box_[2]);
        }
      }
    }
  }

 private:
  /// Row (z, y) from x on, in the padded image.
  void cut_row(std::size_t c, std::size_t z, std::size_t y, std::size_t x, float* out) const {
    const Shape& shape = image_.shape;
    const auto outside = [&](std::size_t at, std::size_t axis) {
      return at < front_[axis] || at >= front_[axis] + shape[axis];
    };
    if (outside(z, 0) || outside(y, 1)) {
      std::fill_n(out, box_[2], pad_value_);
      return;
    }
    const std::size_t begin = std::max(x, front_[2]);
    const std::size_t end = std::min(x + box_[2], front_[2] + shape[2]);
    const float* row = image_.channel(c) + ((z - front_[0]) * shape[1] + (y - front_[1])) * shape[2];
    float* next = std::fill_n(out, begin - x, pad_value_);
    next = std::copy(row + (begin - front_[2]), row + (end - front_[2]), next);
    std::fill_n(next, x + box_[2] - end, pad_value_);
  }

  const Image& image_;
  const Shape front_, box_;
  const float pad_value_;
};

}  // namespace

Shape padded_shape(const Shape& shape, const Sliding& sliding) {
  Shape padded = sliding.box();
  for (std::size_t axis = 0; axis < 3; ++axis) padded[axis] = std::max(padded[axis], shape[axis]);
  return padded;
}

void stream_planes(const Image& image, Engine& engine, const Streaming& how, const PlaneSink& sink) {
  const Shape padded = padded_shape(image.shape, how.sliding), front = padding_in_front(image.shape, padded);
  const std::size_t voxels = num_voxels(how.sliding.box());
  const auto boxes = window_boxes(padded, how.sliding.box(), how.sliding.overlap, how.sliding.spread);
  const auto mirrors =
      flips(how.mirrored ? how.sliding.tta_axes : std::vector<std::size_t>{}, how.sliding.window.size());
  const Cutter cutter(image, front, how.sliding);
  Slab slab(padded, how);
  std::vector<float> window(image.channels * voxels), answer(how.num_classes * voxels);
  std::vector<float> mean(how.num_planes() * image.shape[1] * image.shape[2]);
  const auto finish = [&](std::size_t z) {
    if (z >= front[0] && z < front[0] + image.shape[0]) {
      if (!slab.mean(z, {front[1], front[2]}, {image.shape[1], image.shape[2]}, mean.data())) {
        throw WorkError("the network's answer is not finite in plane " + std::to_string(z - front[0] + 1) + " of " +
                        std::to_string(image.shape[0]) +
                        " of the preprocessed image; compute in f32, or export another checkpoint");
      }
      sink(mean.data());
    }
    slab.clear(z);
  };
  std::size_t done = 0;
  for (const Shape& start : boxes) {
    for (; done < start[0]; ++done) finish(done);
    for (const auto& mirrored : mirrors) {
      cutter.cut(start, mirrored, window.data());
      engine.run(window.data(), answer.data());
      slab.add(start, answer.data(), mirrored);
      how.tick();
    }
  }
  for (; done < padded[0]; ++done) finish(done);
}

}  // namespace mindvoxel
