#include "slab.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "parallel.h"
#include "windows.h"

namespace mindvoxel {
namespace {

/// Threads for so many floats: a thread that gets less than this is not worth its start.
std::size_t threads_for(std::size_t floats, std::size_t threads) { return std::min(threads, floats / 65536 + 1); }

// A logit times 0 is added below: it makes NaN of what is not finite, which would else hide in a probability of 0 or 1.

/// Rows (num_classes, n), class k at k * stride -> out (num_classes, n): over the classes of each voxel.
void softmax(const float* logits, std::size_t stride, std::size_t num_classes, std::size_t n, float* out) {
  for (std::size_t x = 0; x < n; ++x) {
    float largest = logits[x];
    for (std::size_t k = 1; k < num_classes; ++k) largest = std::max(largest, logits[k * stride + x]);
    float sum = 0;
    for (std::size_t k = 0; k < num_classes; ++k) {
      out[k * n + x] = std::exp(logits[k * stride + x] - largest);
      sum += out[k * n + x] + 0.0f * logits[k * stride + x];
    }
    for (std::size_t k = 0; k < num_classes; ++k) out[k * n + x] /= sum;
  }
}

/// Two rows of logits -> the probability of class 1.
void foreground(const float* logits, std::size_t stride, std::size_t n, float* out) {
  for (std::size_t x = 0; x < n; ++x) {
    const float one = logits[x], other = logits[stride + x];
    out[x] = 1 / (1 + std::exp(one - other)) + 0.0f * (one + other);
  }
}

void add_weighted(const float* values, const float* weight, std::size_t n, bool backwards, float* total) {
  if (backwards) {
    for (std::size_t x = 0; x < n; ++x) total[x] += values[n - 1 - x] * weight[x];
  } else {
    for (std::size_t x = 0; x < n; ++x) total[x] += values[x] * weight[x];
  }
}

/// out = total / norm; whether all of it is finite.
bool divide(const float* total, const float* norm, std::size_t n, float* out) {
  std::uint32_t bad = 0;
  for (std::size_t x = 0; x < n; ++x) {
    out[x] = total[x] / norm[x];
    std::uint32_t bits = 0;
    std::memcpy(&bits, &out[x], sizeof bits);
    bad |= (bits & 0x7f800000u) == 0x7f800000u ? 1u : 0u;
  }
  return bad == 0;
}

}  // namespace

Slab::Slab(const Shape& shape, const Streaming& how)
    : how_(how),
      box_(how.sliding.box()),
      height_(shape[1]),
      width_(shape[2]),
      num_planes_(how.num_planes()),
      weight_(blend_weight(box_, how.sliding.blend)),
      total_(box_[0] * num_planes_ * height_ * width_),
      norm_(box_[0] * height_ * width_) {}

void Slab::add(const Shape& start, const float* answer, const std::array<bool, 3>& mirrored) {
  const std::size_t threads = threads_for(num_voxels(box_) * how_.num_classes, how_.threads);
  parallel_for(box_[0] * box_[1], threads, [&](std::size_t begin, std::size_t end) {
    std::vector<float> scratch(how_.sliding.average == "logits" ? 0 : how_.num_classes * box_[2]);
    for (std::size_t row = begin; row < end; ++row) {
      add_row(start, answer, mirrored, row / box_[1], row % box_[1], scratch);
    }
  });
}

void Slab::add_row(const Shape& start, const float* answer, const std::array<bool, 3>& mirrored, std::size_t z,
                   std::size_t y, std::vector<float>& scratch) {
  const std::size_t width = box_[2], plane = height_ * width_;
  const std::size_t from_z = mirrored[0] ? box_[0] - 1 - z : z, from_y = mirrored[1] ? box_[1] - 1 - y : y;
  const float* values = answer + (from_z * box_[1] + from_y) * width;
  std::size_t stride = num_voxels(box_);
  if (!scratch.empty()) {
    if (how_.sliding.average == "probabilities") {
      softmax(values, stride, how_.num_classes, width, scratch.data());
    } else {
      foreground(values, stride, width, scratch.data());
    }
    values = scratch.data();
    stride = width;
  }
  const float* weight = weight_.data() + (z * box_[1] + y) * width;
  const std::size_t place = (start[0] + z) % box_[0], corner = (start[1] + y) * width_ + start[2];
  float* total = total_.data() + place * num_planes_ * plane + corner;
  for (std::size_t k = 0; k < num_planes_; ++k) {
    add_weighted(values + k * stride, weight, width, mirrored[2], total + k * plane);
  }
  float* norm = norm_.data() + place * plane + corner;
  for (std::size_t x = 0; x < width; ++x) norm[x] += weight[x];
}

bool Slab::mean(std::size_t z, std::array<std::size_t, 2> start, std::array<std::size_t, 2> shape, float* mean) const {
  const std::size_t plane = height_ * width_, place = z % box_[0];
  const float *total = total_.data() + place * num_planes_ * plane, *norm = norm_.data() + place * plane;
  std::atomic<bool> finite{true};
  const std::size_t rows = num_planes_ * shape[0];
  parallel_for(rows, threads_for(rows * shape[1], how_.threads), [&](std::size_t begin, std::size_t end) {
    for (std::size_t row = begin; row < end; ++row) {
      const std::size_t k = row / shape[0], corner = (start[0] + row % shape[0]) * width_ + start[1];
      if (!divide(total + k * plane + corner, norm + corner, shape[1], mean + row * shape[1])) finite = false;
    }
  });
  return finite;
}

void Slab::clear(std::size_t z) {
  const std::size_t plane = height_ * width_, place = z % box_[0];
  std::fill_n(total_.begin() + static_cast<std::ptrdiff_t>(place * num_planes_ * plane), num_planes_ * plane, 0.0f);
  std::fill_n(norm_.begin() + static_cast<std::ptrdiff_t>(place * plane), plane, 0.0f);
}

}  // namespace mindvoxel
