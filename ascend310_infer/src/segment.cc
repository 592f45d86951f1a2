#include "segment.h"

#include <algorithm>
#include <array>
#include <vector>

#include "errors.h"
#include "parallel.h"
#include "restore.h"
#include "stream.h"

namespace mindvoxel {
namespace {

/// Writes classes, plane by plane along the first network axis, into labels on the axes of the scan.
class Paster {
 public:
  Paster(const Bundle& bundle, const Grid& grid, std::size_t threads, Labels& labels)
      : values_(bundle.label_values),
        height_(grid.crop_shape[1]),
        width_(grid.crop_shape[2]),
        threads_(threads),
        labels_(labels.voxels) {
    const Shape scan_strides{labels.shape[1] * labels.shape[2], labels.shape[2], 1};
    for (std::size_t axis = 0; axis < 3; ++axis) {
      strides_[axis] = scan_strides[grid.axes[axis]];
      corner_ += grid.crop_start[axis] * strides_[axis];
    }
  }

  /// The next plane (K, H, W) of the crop.
  void paste(const float* plane) {
    const std::size_t base = corner_ + next_++ * strides_[0];
    parallel_for(height_, threads_, [&](std::size_t begin, std::size_t end) {
      std::vector<float> best(width_);
      std::vector<std::int32_t> classes(width_);
      for (std::size_t y = begin; y < end; ++y) {
        largest_class(plane + y * width_, height_ * width_, values_.size(), width_, best.data(), classes.data());
        std::int16_t* out = labels_.data() + base + y * strides_[1];
        for (std::size_t x = 0; x < width_; ++x) out[x * strides_[2]] = values_[static_cast<std::size_t>(classes[x])];
      }
    });
  }

 private:
  const std::vector<std::int16_t>& values_;
  const std::size_t height_, width_, threads_;
  std::vector<std::int16_t>& labels_;
  Shape strides_{};
  std::size_t corner_ = 0, next_ = 0;
};

void segment_planned(const Prepared& prepared, const Bundle& bundle, Engine& engine, const Streaming& how,
                     Labels& labels) {
  const Grid& grid = prepared.grid;
  Spacing scan_mm{};
  for (std::size_t axis = 0; axis < 3; ++axis) scan_mm[axis] = grid.geometry.spacing_mm[grid.axes[axis]];
  const int apart = anisotropic_axis(grid.spacing_mm, scan_mm, bundle.preprocessing.anisotropy);
  Paster paster(bundle, grid, how.threads, labels);
  PlaneResizer resizer(how.num_planes(), grid.shape, grid.crop_shape, apart, how.threads,
                       [&](const float* plane) { paster.paste(plane); });
  stream_planes(prepared.image, engine, how, [&](const float* plane) { resizer.push(plane); });
}

/// V-Net's way: the probability of class 1 on the whole grid, back by ITK, cut at 0.5.
void segment_scan(const Prepared& prepared, const Bundle& bundle, Engine& engine, const Streaming& how,
                  Labels& labels) {
  const std::size_t plane_size = prepared.image.shape[1] * prepared.image.shape[2];
  std::vector<float> probability;
  probability.reserve(num_voxels(prepared.image.shape));
  stream_planes(prepared.image, engine, how,
                [&](const float* plane) { probability.insert(probability.end(), plane, plane + plane_size); });
  const std::vector<float> restored =
      restore_scan(probability, prepared.grid, bundle.preprocessing.restore_order, how.threads);
  std::transform(restored.begin(), restored.end(), labels.voxels.begin(),
                 [&](float one) { return bundle.label_values[one >= 0.5f ? 1 : 0]; });
}

}  // namespace

Labels segment(const Bundle& bundle, const Prepared& prepared, Engine& engine, bool tta, std::size_t threads,
               const std::function<void()>& tick) {
  const Grid& grid = prepared.grid;
  Labels labels;
  labels.shape = grid.source_shape;
  labels.geometry = grid.geometry;
  const auto& values = bundle.label_values;
  labels.fit_uint8 = std::all_of(values.begin(), values.end(), [](std::int16_t one) { return one >= 0 && one < 256; });
  labels.voxels.assign(num_voxels(grid.source_shape), bundle.label_values[0]);
  const Streaming how{bundle.sliding, bundle.num_classes(), tta, threads, tick};
  if (bundle.preprocessing.way == "scan") {
    segment_scan(prepared, bundle, engine, how, labels);
  } else {
    segment_planned(prepared, bundle, engine, how, labels);
  }
  return labels;
}

}  // namespace mindvoxel
