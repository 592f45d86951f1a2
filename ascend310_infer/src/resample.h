// From one number of voxels to another over the same extent (data/resample.py).
#pragma once

#include <cstddef>
#include <vector>

#include "volume.h"

namespace mindvoxel {

/// The voxel of `size` that lies nearest voxel `index` of `new_size`; the later of two.
std::size_t nearest_voxel(std::size_t index, std::size_t size, std::size_t new_size);

/// (D, H, W) `from` -> `to`; voxel o of n takes the place (o + 0.5) · size / n − 0.5, and beyond its edge an image goes
/// on as its edge is.
///
/// order: 1 linear, 3 cubic B-spline, cut to the range of the input.  apart: every slice across this axis is resized
/// and cut by itself, and along it the nearest slice is taken; -1: no such axis.  Memory: the input and one array of at
/// most the larger size.
std::vector<float> resize(std::vector<float> voxels, const Shape& from, const Shape& to, int order, int apart,
                          std::size_t threads);

}  // namespace mindvoxel
