#include "strips.h"

#include <algorithm>

#include "stores.h"

namespace mindvoxel {
namespace {

using winograd::kLanes;

constexpr int kMostPoints = 100;  // 10 x 10

// The block of 16 channels from `channel` on of an image, `first` of whose `channels` lie in the first tensor.
template <class Float>
Float *Block(Pieces<Float> data, const int64_t (&size)[3], int64_t image, int64_t channel, int64_t first,
             int64_t channels) {
  const int64_t voxels = size[0] * size[1] * size[2];
  if (channel < first) return data.first + (image * first + channel) * voxels;
  return data.second + (image * (channels - first) + channel - first) * voxels;
}

// A row of a block, or `outside`.
template <class Float>
Float *Row(Float *block, const int64_t (&size)[3], int64_t depth, int64_t height, Float *outside) {
  if (depth < 0 || depth >= size[0] || height < 0 || height >= size[1]) return outside;
  return block + (depth * size[1] + height) * size[2] * kLanes;
}

// The depths x heights rows of a block whose first is (depth, height).
template <class Float>
void FindRows(Float *block, const int64_t (&size)[3], int64_t depth, int64_t height, int depths, int heights,
              Float *outside, Float **rows) {
  for (int d = 0; d < depths; d++) {
    for (int h = 0; h < heights; h++) {
      rows[d * heights + h] = Row(block, size, depth + d, height + h, outside);
    }
  }
}

}  // namespace

Shape::Shape(const Case &c) {
  const std::size_t rank = c.src.size();
  const bool has_depth = rank == 5;
  images = c.src[0], channels_in = c.src[1], channels_out = c.dst[1];
  first_in = c.src_first > 0 ? c.src_first : channels_in, first_out = c.dst_first > 0 ? c.dst_first : channels_out;
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

void Strips::Source(mindvoxel::Source src, const float *zeros, int64_t g, float *points) const {
  const float *rows[kMostPoints];
  const int64_t columns = std::min(shape_.in[2], padded_width() - shape_.pad[2]);
  for (int64_t s = 0; s < InGroup(g); s++) {
    const Place at = Locate(g * group_ + s);
    for (int64_t c = 0; c < shape_.channels_in; c += kLanes) {
      const float *block = Block(src, shape_.in, at.image, c, shape_.first_in, shape_.channels_in);
      FindRows(block, shape_.in, at.depth - shape_.pad[0], at.height - shape_.pad[1], variant_.points_depth(),
               variant_.points_height(), zeros, rows);
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
      const int64_t channels = shape_.channels_out;
      const float *block = Block<const float>(diff_dst, shape_.out, at.image, c, channels, channels);
      FindRows(block, shape_.out, at.depth, at.height, variant_.outputs_depth, variant_.outputs_height, zeros, rows);
      variant_.gradient(rows, kLanes, shape_.out[2], points + s * shape_.out[2] * shape_.channels_out + c,
                        result_stride(), shape_.channels_out);
    }
  }
}

bool Strips::PassesCaches(Pieces<float> dst) const {
  const int64_t voxels = shape_.images * shape_.out[0] * shape_.out[1] * shape_.out[2];
  const int64_t rest = shape_.channels_out - shape_.first_out;
  return GoesPastCaches(dst.first, shape_.first_out * voxels) &&
         (rest == 0 || GoesPastCaches(dst.second, rest * voxels));
}

void Strips::Result(const float *points, const float *bias, int64_t g, Pieces<float> dst) const {
  float *rows[kMostPoints];
  const bool past_caches = PassesCaches(dst);
  for (int64_t s = 0; s < InGroup(g); s++) {
    const Place at = Locate(g * group_ + s);
    for (int64_t c = 0; c < shape_.channels_out; c += kLanes) {
      float *block = Block(dst, shape_.out, at.image, c, shape_.first_out, shape_.channels_out);
      FindRows<float>(block, shape_.out, at.depth, at.height, variant_.outputs_depth, variant_.outputs_height, nullptr,
                      rows);
      variant_.output(points + s * shape_.out[2] * shape_.channels_out + c, result_stride(), shape_.channels_out,
                      shape_.out[2], rows, kLanes, bias == nullptr ? nullptr : bias + c, past_caches);
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
                              nullptr, false);
  }
}

}  // namespace mindvoxel
