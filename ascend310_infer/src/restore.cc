#include "restore.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "parallel.h"
#include "resample.h"

namespace mindvoxel {
namespace {

/// out = low + share * (high - low); out may be low.
void mix(const float* low, const float* high, float share, std::size_t n, float* out) {
  for (std::size_t i = 0; i < n; ++i) out[i] = low[i] + share * (high[i] - low[i]);
}

}  // namespace

Taps axis_taps(std::size_t size, std::size_t new_size, bool nearest) {
  Taps taps;
  const double scale = static_cast<double>(size) / static_cast<double>(new_size);
  for (std::size_t o = 0; o < new_size; ++o) {
    if (nearest) {
      taps.low.push_back(nearest_voxel(o, size, new_size));
      taps.high.push_back(taps.low.back());
      taps.share.push_back(0);
      continue;
    }
    const double place = std::clamp((static_cast<double>(o) + 0.5) * scale - 0.5, 0.0, static_cast<double>(size - 1));
    const double low = std::floor(place);
    taps.low.push_back(static_cast<std::size_t>(low));
    taps.high.push_back(std::min(taps.low.back() + 1, size - 1));
    taps.share.push_back(static_cast<float>(place - low));
  }
  return taps;
}

PlaneResizer::PlaneResizer(std::size_t num_planes, const Shape& shape, const Shape& new_shape, int nearest_axis,
                           std::size_t threads, PlaneSink sink)
    : num_planes_(num_planes),
      threads_(threads),
      shape_(shape),
      new_shape_(new_shape),
      sink_(std::move(sink)),
      same_(shape == new_shape),
      depth_(axis_taps(shape[0], new_shape[0], nearest_axis == 0)),
      rows_(axis_taps(shape[1], new_shape[1], nearest_axis == 1)),
      columns_(axis_taps(shape[2], new_shape[2], nearest_axis == 2)),
      wanted_(shape[0], false) {
  if (same_) return;
  for (const std::size_t z : depth_.low) wanted_[z] = true;
  for (const std::size_t z : depth_.high) wanted_[z] = true;
  const std::size_t size = num_planes * new_shape[1] * new_shape[2];
  for (auto& plane : held_) plane.resize(size);
  mixed_.resize(size);
}

void PlaneResizer::push(const float* plane) {
  const std::size_t index = taken_++;
  if (same_) {
    sink_(plane);
    return;
  }
  if (wanted_[index]) resize_plane(plane, held_[index % 2].data());
  for (; passed_ < new_shape_[0] && depth_.high[passed_] <= index; ++passed_) emit();
}

void PlaneResizer::emit() {
  const float share = depth_.share[passed_];
  const std::vector<float>&low = held_[depth_.low[passed_] % 2], &high = held_[depth_.high[passed_] % 2];
  if (share == 0) {
    sink_(low.data());
    return;
  }
  parallel_for(mixed_.size(), threads_, [&](std::size_t begin, std::size_t end) {
    mix(low.data() + begin, high.data() + begin, share, end - begin, mixed_.data() + begin);
  });
  sink_(mixed_.data());
}

void PlaneResizer::resize_plane(const float* plane, float* out) const {
  const std::size_t height = shape_[1], width = shape_[2], new_height = new_shape_[1], new_width = new_shape_[2];
  if (height == new_height && width == new_width) {
    std::copy_n(plane, num_planes_ * height * width, out);
    return;
  }
  parallel_for(num_planes_ * new_height, threads_, [&](std::size_t begin, std::size_t end) {
    std::vector<float> row(width);
    for (std::size_t i = begin; i < end; ++i) {
      const std::size_t y = i % new_height;
      const float* values = plane + i / new_height * height * width;
      mix(values + rows_.low[y] * width, values + rows_.high[y] * width, rows_.share[y], width, row.data());
      float* to = out + i * new_width;
      for (std::size_t x = 0; x < new_width; ++x) {
        const float left = row[columns_.low[x]];
        to[x] = left + columns_.share[x] * (row[columns_.high[x]] - left);
      }
    }
  });
}

void largest_class(const float* values, std::size_t stride, std::size_t num_classes, std::size_t n, float* best,
                   std::int32_t* classes) {
  std::copy_n(values, n, best);
  std::fill_n(classes, n, 0);
  for (std::size_t k = 1; k < num_classes; ++k) {
    const float* others = values + k * stride;
    const auto index = static_cast<std::int32_t>(k);
    for (std::size_t i = 0; i < n; ++i) {
      const bool larger = others[i] > best[i];
      best[i] = larger ? others[i] : best[i];
      classes[i] = larger ? index : classes[i];
    }
  }
}

}  // namespace mindvoxel
