// Convolutions to very few channels, as one to many channels on a coarser grid.
//
// Blocked kernels compute 16 output channels at a time, so that one with 2 wastes 7/8 of the work. Here a small tile of
// neighbouring voxels becomes channels: a 5^3 kernel to 2 channels with a tile of 2^3 is a 6^3 kernel of stride 2 to 16
// channels, whose filters are the 8 shifts of the small one: 216 / 8 = 27 multiplications per voxel instead of 125.
#pragma once

#include <memory>
#include <optional>

#include "convolution.h"

namespace mindvoxel {

struct Fold {
  Dims tile;    // voxels per space axis that become channels
  Case folded;  // the equal convolution on the grid of tiles; channel t * O + o is voxel t of the tile
};

// The cheapest fold, or nothing where the plain convolution is as cheap.
std::optional<Fold> ChooseFold(const Case &c);

std::unique_ptr<Forward> MakeFoldedForward(const Case &c, const Fold &fold);
// The gradient of weights and bias only: that of the source is not improved by folding.
std::unique_ptr<Backward> MakeFoldedWeights(const Case &c, const Fold &fold);

}  // namespace mindvoxel
