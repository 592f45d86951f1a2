#include "resample.h"

#include <algorithm>
#include <array>
#include <limits>

#include "itk_resample.h"
#include "parallel.h"

// A version for each kind of processor, chosen at the start of the program.
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define MINDVOXEL_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define MINDVOXEL_CLONES
#endif

namespace mindvoxel {
namespace {

constexpr std::size_t kLanes = 64;  // neighbouring lines that are resized together

/// The lines of an array along one axis: element k of line (outer, inner) lies at (outer · size + k) · inner_size +
/// inner.
struct Lines {
  std::size_t outer_size, inner_size;

  std::size_t count() const { return outer_size * inner_size; }
  std::size_t place(std::size_t line, std::size_t size) const {
    return line / inner_size * size * inner_size + line % inner_size;
  }
};

/// `count` lines from `line` on, at most kLanes, to tile (size, kLanes); what is more of a tile stays as it is.
void gather(const float* voxels, const Lines& lines, std::size_t size, std::size_t line, std::size_t count,
            float* tile) {
  if (lines.inner_size == 1) {
    for (std::size_t l = 0; l < count; ++l) {
      const float* from = voxels + (line + l) * size;
      for (std::size_t k = 0; k < size; ++k) tile[k * kLanes + l] = from[k];
    }
    return;
  }
  const float* from = voxels + lines.place(line, size);
  for (std::size_t k = 0; k < size; ++k) std::copy_n(from + k * lines.inner_size, count, tile + k * kLanes);
}

void scatter(const float* tile, const Lines& lines, std::size_t size, std::size_t line, std::size_t count,
             float* voxels) {
  if (lines.inner_size == 1) {
    for (std::size_t l = 0; l < count; ++l) {
      float* to = voxels + (line + l) * size;
      for (std::size_t k = 0; k < size; ++k) to[k] = tile[k * kLanes + l];
    }
    return;
  }
  float* to = voxels + lines.place(line, size);
  for (std::size_t k = 0; k < size; ++k) std::copy_n(tile + k * kLanes, count, to + k * lines.inner_size);
}

/// Tile (size, kLanes) -> (new_size, kLanes).
MINDVOXEL_CLONES void weigh(const AxisWeights& weights, const float* in, float* out) {
  for (std::size_t o = 0; o < weights.new_size; ++o) {
    const float* from = in + weights.first[o] * kLanes;
    float sums[kLanes] = {};
    for (std::size_t i = weights.begin[o]; i < weights.begin[o + 1]; ++i, from += kLanes) {
      const float weight = weights.values[i];
      for (std::size_t l = 0; l < kLanes; ++l) sums[l] += weight * from[l];
    }
    std::copy_n(sums, kLanes, out + o * kLanes);
  }
}

/// Resize along one axis; `shape` becomes the new one.
std::vector<float> along(const AxisWeights& weights, const std::vector<float>& voxels, Shape& shape, std::size_t axis,
                         std::size_t threads) {
  Lines lines{1, 1};
  for (std::size_t a = 0; a < 3; ++a) {
    if (a < axis) lines.outer_size *= shape[a];
    if (a > axis) lines.inner_size *= shape[a];
  }
  shape[axis] = weights.new_size;
  std::vector<float> result(num_voxels(shape));
  // a tile lies within one run of neighbouring lines
  const std::size_t run = lines.inner_size == 1 ? lines.outer_size : lines.inner_size;
  const std::size_t tiles_a_run = (run + kLanes - 1) / kLanes;
  parallel_for(lines.count() / run * tiles_a_run, threads, [&](std::size_t begin, std::size_t end) {
    std::vector<float> in(weights.size * kLanes), out(weights.new_size * kLanes);
    for (std::size_t t = begin; t < end; ++t) {
      const std::size_t within = t % tiles_a_run * kLanes, line = t / tiles_a_run * run + within;
      const std::size_t count = std::min(kLanes, run - within);
      gather(voxels.data(), lines, weights.size, line, count, in.data());
      weigh(weights, in.data(), out.data());
      scatter(out.data(), lines, weights.new_size, line, count, result.data());
    }
  });
  return result;
}

/// Slices `picked` along `axis`; `shape` becomes the new one.
std::vector<float> take(const std::vector<float>& voxels, Shape& shape, std::size_t axis,
                        const std::vector<std::size_t>& picked, std::size_t threads) {
  std::size_t outer = 1, inner = 1;
  for (std::size_t a = 0; a < axis; ++a) outer *= shape[a];
  for (std::size_t a = axis + 1; a < 3; ++a) inner *= shape[a];
  const std::size_t size = shape[axis];
  shape[axis] = picked.size();
  std::vector<float> result(num_voxels(shape));
  parallel_for(outer * picked.size(), threads, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      const std::size_t from = i / picked.size() * size + picked[i % picked.size()];
      std::copy_n(voxels.data() + from * inner, inner, result.data() + i * inner);
    }
  });
  return result;
}

struct Range {
  float low = std::numeric_limits<float>::infinity(), high = -std::numeric_limits<float>::infinity();

  void add(float value) {
    low = value < low ? value : low;
    high = value > high ? value : high;
  }
  void add(const Range& other) {
    low = std::min(low, other.low);
    high = std::max(high, other.high);
  }
};

MINDVOXEL_CLONES Range range_of(const float* voxels, std::size_t count) {
  std::array<float, kLanes> low, high;
  low.fill(Range{}.low);
  high.fill(Range{}.high);
  const std::size_t whole = count / kLanes * kLanes;
  for (std::size_t i = 0; i < whole; i += kLanes) {
    for (std::size_t l = 0; l < kLanes; ++l) {
      low[l] = voxels[i + l] < low[l] ? voxels[i + l] : low[l];
      high[l] = voxels[i + l] > high[l] ? voxels[i + l] : high[l];
    }
  }
  Range range{*std::min_element(low.begin(), low.end()), *std::max_element(high.begin(), high.end())};
  for (std::size_t i = whole; i < count; ++i) range.add(voxels[i]);
  return range;
}

MINDVOXEL_CLONES void clip(float* voxels, std::size_t count, float low, float high) {
  for (std::size_t i = 0; i < count; ++i) {
    const float raised = voxels[i] < low ? low : voxels[i];
    voxels[i] = raised > high ? high : raised;
  }
}

/// Rows (W) of an array by the slice that they belong to, of the slices across `apart`; -1: all are one slice.
struct Slices {
  Shape shape;
  int apart;

  std::size_t count() const { return apart < 0 ? 1 : shape[static_cast<std::size_t>(apart)]; }
  std::size_t rows() const { return shape[0] * shape[1]; }
  std::size_t of_row(std::size_t row) const { return apart < 0 ? 0 : apart == 0 ? row / shape[1] : row % shape[1]; }
};

/// The range of each slice; across the last axis a slice takes one voxel of each row.
std::vector<Range> ranges_of(const std::vector<float>& voxels, const Slices& slices) {
  std::vector<Range> ranges(slices.count());
  const std::size_t width = slices.shape[2];
  for (std::size_t row = 0; row < slices.rows(); ++row) {
    const float* values = voxels.data() + row * width;
    if (slices.apart == 2) {
      for (std::size_t x = 0; x < width; ++x) ranges[x].add(values[x]);
    } else {
      ranges[slices.of_row(row)].add(range_of(values, width));
    }
  }
  return ranges;
}

void clip_slices(std::vector<float>& voxels, const Slices& slices, const std::vector<Range>& ranges,
                 std::size_t threads) {
  const std::size_t width = slices.shape[2];
  parallel_for(slices.rows(), threads, [&](std::size_t begin, std::size_t end) {
    for (std::size_t row = begin; row < end; ++row) {
      float* values = voxels.data() + row * width;
      if (slices.apart == 2) {
        for (std::size_t x = 0; x < width; ++x) clip(values + x, 1, ranges[x].low, ranges[x].high);
      } else {
        const Range& range = ranges[slices.of_row(row)];
        clip(values, width, range.low, range.high);
      }
    }
  });
}

/// Axes that keep their size are left alone; the one that shrinks most goes first, so that least is computed.
std::vector<float> resize_smoothly(std::vector<float> voxels, Shape shape, const Shape& to, int order, int apart,
                                   std::size_t threads) {
  std::vector<std::size_t> changed;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    if (static_cast<int>(axis) != apart && shape[axis] != to[axis]) changed.push_back(axis);
  }
  if (changed.empty()) return voxels;
  std::vector<Range> ranges;
  if (order == 3) ranges = ranges_of(voxels, {shape, apart});
  const auto grows = [&](std::size_t axis) { return static_cast<double>(to[axis]) / static_cast<double>(shape[axis]); };
  std::stable_sort(changed.begin(), changed.end(), [&](std::size_t a, std::size_t b) { return grows(a) < grows(b); });
  for (const std::size_t axis : changed) {
    voxels = along(axis_weights(shape[axis], to[axis], order), voxels, shape, axis, threads);
  }
  if (order == 3) clip_slices(voxels, {shape, apart}, ranges, threads);
  return voxels;
}

}  // namespace

std::size_t nearest_voxel(std::size_t index, std::size_t size, std::size_t new_size) {
  return (2 * index + 1) * size / (2 * new_size);
}

std::vector<float> resize(std::vector<float> voxels, const Shape& from, const Shape& to, int order, int apart,
                          std::size_t threads) {
  Shape shape = from;
  std::vector<std::size_t> picked;  // of the slices that are used at all
  const auto across = static_cast<std::size_t>(std::max(apart, 0));
  if (apart >= 0) {
    std::vector<std::size_t> used;
    for (std::size_t o = 0; o < to[across]; ++o) {
      const std::size_t nearest = nearest_voxel(o, from[across], to[across]);
      if (used.empty() || used.back() != nearest) used.push_back(nearest);
      picked.push_back(used.size() - 1);
    }
    if (used.size() != from[across]) voxels = take(voxels, shape, across, used, threads);
  }
  voxels = resize_smoothly(std::move(voxels), shape, to, order, apart, threads);
  if (apart < 0 || shape[across] == to[across]) return voxels;
  Shape resized = to;
  resized[across] = shape[across];
  return take(voxels, resized, across, picked, threads);
}

}  // namespace mindvoxel
