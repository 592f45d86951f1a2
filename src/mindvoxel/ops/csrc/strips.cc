#include "strips.h"

#include <algorithm>

namespace mindvoxel {
namespace {

using winograd::kLanes;

constexpr int kMostPoints = 64;  // 8 x 8

// A row of a blocked tensor, or `outside`.
template <class Float>
Float *Row(Float *data, const int64_t (&size)[3], int64_t block, int64_t depth, int64_t height, Float *outside) {
  if (depth < 0 || depth >= size[0] || height < 0 || height >= size[1]) return outside;
  return data + ((block * size[0] + depth) * size[1] + height) * size[2] * kLanes;
}

// The depths x heights rows of one block of channels whose first is (depth, height).
template <class Float>
void FindRows(Float *data, const int64_t (&size)[3], int64_t block, int64_t depth, int64_t height, int depths,
              int heights, Float *outside, Float **rows) {
  for (int d = 0; d < depths; d++) {
    for (int h = 0; h < heights; h++) {
      rows[d * heights + h] = Row(data, size, block, depth + d, height + h, outside);
    }
  }
}

}  // namespace

Shape::Shape(const Case &c) {
  const std::size_t rank = c.src.size();
  const bool has_depth = rank == 5;
  images = c.src[0], channels_in = c.src[1], channels_out = c.dst[1];
  in[0] = out[0] = taps[0] = 1, pad[0] = 0;
  for (std::size_t axis = has_depth ? 0 : 1, i = 2; i < rank; axis++, i++) {
    in[axis] = c.src[i], out[axis] = c.dst[i], taps[axis] = c.weights[i], pad[axis] = c.window.pad_begin[i - 2];
  }
  step = c.window.strides.back();
}

Strips::Strips(const Case &c, const winograd::Variant &variant)
    : shape_(c),
      variant_(variant),
      strips_depth_((shape_.out[0] + variant.outputs_depth - 1) / variant.outputs_depth),
      strips_height_((shape_.out[1] + variant.outputs_height - 1) / variant.outputs_height),
      count_(shape_.images * strips_depth_ * strips_height_) {
  const int64_t wide = std::max(shape_.channels_in, shape_.channels_out);
  const int64_t rows = wide <= 32 ? 64 : 128;  // enough to use a point's weights well once they are in cache
  group_ = std::clamp<int64_t>(rows / shape_.out[2], 1, (count_ + NumThreads() - 1) / NumThreads());
}

int64_t Strips::InGroup(int64_t g) const { return std::min(group_, count_ - g * group_); }

Strips::Place Strips::Locate(int64_t strip) const {
  return {strip / (strips_depth_ * strips_height_), strip / strips_height_ % strips_depth_ * variant_.outputs_depth,
          strip % strips_height_ * variant_.outputs_height};
}

void Strips::Source(const float *src, const float *zeros, int64_t g, float *points) const {
  const float *rows[kMostPoints];
  const int64_t columns = std::min(shape_.in[2], padded_width() - shape_.pad[2]);
  for (int64_t s = 0; s < InGroup(g); s++) {
    const Place at = Locate(g * group_ + s);
    for (int64_t c = 0; c < shape_.channels_in; c += kLanes) {
      FindRows(src, shape_.in, (at.image * shape_.channels_in + c) / kLanes, at.depth - shape_.pad[0],
               at.height - shape_.pad[1], variant_.points_depth(), variant_.points_height(), zeros, rows);
      float *to = points + (s * padded_width() + shape_.pad[2]) * shape_.channels_in + c;
      variant_.input(rows, kLanes, columns, to, source_stride(), shape_.channels_in);
    }
  }
}

void Strips::Gradient(const float *diff_dst, const float *zeros, int64_t g, float *points) const {
  const float *rows[kMostPoints];
  for (int64_t s = 0; s < InGroup(g); s++) {
    const Place at = Locate(g * group_ + s);
    for (int64_t c = 0; c < shape_.channels_out; c += kLanes) {
      FindRows(diff_dst, shape_.out, (at.image * shape_.channels_out + c) / kLanes, at.depth, at.height,
               variant_.outputs_depth, variant_.outputs_height, zeros, rows);
      variant_.gradient(rows, kLanes, shape_.out[2], points + s * shape_.out[2] * shape_.channels_out + c,
                        result_stride(), shape_.channels_out);
    }
  }
}

void Strips::Result(const float *points, const float *bias, int64_t g, float *dst) const {
  float *rows[kMostPoints];
  for (int64_t s = 0; s < InGroup(g); s++) {
    const Place at = Locate(g * group_ + s);
    for (int64_t c = 0; c < shape_.channels_out; c += kLanes) {
      FindRows<float>(dst, shape_.out, (at.image * shape_.channels_out + c) / kLanes, at.depth, at.height,
                      variant_.outputs_depth, variant_.outputs_height, nullptr, rows);
      variant_.output(points + s * shape_.out[2] * shape_.channels_out + c, result_stride(), shape_.channels_out,
                      shape_.out[2], rows, kLanes, bias == nullptr ? nullptr : bias + c);
    }
  }
}

void Strips::Weights(const float *weights, bool flip, float *points) const {
  const int64_t block = winograd::ChannelVectors(shape_.channels_out) * kLanes;
  const int64_t plane = shape_.channels_in * shape_.channels_out;
  const int64_t taps = shape_.taps[0] * shape_.taps[1], wide = shape_.taps[2];
#pragma omp for collapse(2) schedule(static)
  for (int64_t c = 0; c < shape_.channels_out; c += kLanes) {
    for (int64_t w = 0; w < wide; w++) {
      const float *rows[kMostPoints];
      for (int64_t i = 0; i < taps; i++) {
        const int64_t tap = flip ? taps * wide - 1 - (i * wide + w) : i * wide + w;
        rows[i] = weights + tap * plane + c;
      }
      float *to = points + c / block * depth() * block + w * shape_.channels_in * block + c % block;
      variant_.weights(rows, shape_.channels_out, shape_.channels_in, to, weights_stride(), block);
    }
  }
}

void Strips::WeightsGradient(const float *points, float *diff_weights) const {
#pragma omp for schedule(static)
  for (int64_t c = 0; c < shape_.channels_out; c += kLanes) {
    float *rows[kMostPoints];
    for (int64_t i = 0; i < shape_.taps[0] * shape_.taps[1]; i++) rows[i] = diff_weights + i * weights_stride() + c;
    variant_.weights_gradient(points + c, weights_stride(), shape_.channels_out, depth(), rows, shape_.channels_out,
                              nullptr);
  }
}

}  // namespace mindvoxel
