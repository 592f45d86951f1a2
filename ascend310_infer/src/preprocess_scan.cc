#include <algorithm>
#include <cmath>

#include "crop.h"
#include "errors.h"
#include "itk_resample.h"
#include "normalize.h"
#include "preprocess_ways.h"
#include "text.h"

namespace mindvoxel {
namespace {

/// The resampled grid: either its last voxel reaches the centre of the scan's last one, or, as published, it has
/// floor(size · old / new) voxels; at least min_shape.
Shape resampled_shape(const Preprocessing& rule, const Shape& shape, const Spacing& old_mm, const Spacing& new_mm) {
  Shape result{};
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const auto size = static_cast<double>(shape[axis]);
    const double wanted = rule.centre_crop ? std::floor(size * (old_mm[axis] / new_mm[axis]))
                                           : std::ceil((size - 1) * old_mm[axis] / new_mm[axis] - 1e-6) + 1;
    result[axis] = std::max(static_cast<std::size_t>(std::clamp(wanted, 0.0, 4e9)), rule.min_shape[axis]);
  }
  require_reasonable(result, new_mm, old_mm);
  return result;
}

/// The scan's own grid at another spacing.
WorldGrid world_grid(const Grid& grid) {
  WorldGrid world{grid.shape, grid.geometry};
  world.geometry.spacing_mm = grid.spacing_mm;
  return world;
}

}  // namespace

Prepared preprocess_scan(const Bundle& bundle, Scan scan, std::size_t threads) {
  const Preprocessing& rule = bundle.preprocessing;
  Prepared prepared;
  Grid& grid = prepared.grid;
  grid.source_shape = scan.image.shape;
  grid.geometry = scan.geometry;
  grid.spacing_mm = {rule.spacing_mm.at(0), rule.spacing_mm.at(1), rule.spacing_mm.at(2)};
  grid.shape = resampled_shape(rule, scan.image.shape, scan.geometry.spacing_mm, grid.spacing_mm);
  grid.crop_shape = rule.centre_crop ? rule.min_shape : grid.shape;
  for (std::size_t axis = 0; axis < 3; ++axis) grid.crop_start[axis] = (grid.shape[axis] - grid.crop_shape[axis]) / 2;

  std::vector<float> voxels = std::move(scan.image.voxels);
  rescale_unit(voxels);
  const WorldGrid source{grid.source_shape, grid.geometry};
  voxels = resample_world(voxels, source, world_grid(grid), "linear", threads);
  if (rule.centre_crop) voxels = cut(voxels.data(), grid.shape, {grid.crop_start, grid.crop_shape}, {0, 1, 2}, threads);
  zscore_positive(voxels);
  prepared.image = {std::move(voxels), 1, grid.crop_shape};
  return prepared;
}

std::vector<float> restore_scan(const std::vector<float>& probability, const Grid& grid, const std::string& order,
                                std::size_t threads) {
  std::vector<float> whole(num_voxels(grid.shape), 0.0F);
  const Shape& box = grid.crop_shape;
  for (std::size_t z = 0; z < box[0]; ++z) {
    for (std::size_t y = 0; y < box[1]; ++y) {
      const std::size_t row = ((grid.crop_start[0] + z) * grid.shape[1] + grid.crop_start[1] + y) * grid.shape[2];
      std::copy_n(probability.data() + (z * box[1] + y) * box[2], box[2], whole.data() + row + grid.crop_start[2]);
    }
  }
  return resample_world(whole, world_grid(grid), {grid.source_shape, grid.geometry}, order, threads);
}

}  // namespace mindvoxel
