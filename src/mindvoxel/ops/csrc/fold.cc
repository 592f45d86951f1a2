#include "fold.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <numeric>

#include "arena.h"
#include "winograd.h"

namespace mindvoxel {
namespace {

constexpr int64_t kFewChannels = 4;
constexpr int64_t kBlock = 16;       // channels that kernels compute at a time
constexpr double kWinogradGain = 3;  // at least, of what WantsWinograd() wants, with its own copies
constexpr double kLeastGain = 1.5;   // times fewer multiplications, or the copies are not worth it

using Space = std::array<int64_t, 3>;  // depth, height, width; missing leading axes have size 1

int64_t Product(const Dims &dims) { return std::accumulate(dims.begin(), dims.end(), int64_t{1}, std::multiplies<>()); }
int64_t Product(const Space &s) { return s[0] * s[1] * s[2]; }

Space ToSpace(Dims::const_iterator begin, Dims::const_iterator end) {
  Space space{1, 1, 1};
  std::copy_backward(begin, end, space.end());
  return space;
}

Case FoldedCase(const Case &c, const Dims &tile) {
  Case folded = c;
  folded.weights[0] = folded.dst[1] = kBlock;  // those beyond O times the tile are zero
  for (std::size_t i = 0; i < tile.size(); i++) {
    const int64_t kernel = c.weights[i + 2] + tile[i] - 1;
    const int64_t tiles = (c.dst[i + 2] + tile[i] - 1) / tile[i];
    folded.weights[i + 2] = kernel;
    folded.dst[i + 2] = tiles;
    folded.window.strides[i] = tile[i];
    folded.window.pad_end[i] = (tiles - 1) * tile[i] + kernel - c.src[i + 2] - c.window.pad_begin[i];
  }
  return folded;
}

// Multiplications for all outputs, with channels rounded up to a whole block.
double Cost(const Case &c) {
  const double direct = static_cast<double>(kBlock) * static_cast<double>(Product(c.weights) / c.weights[0]) *
                        static_cast<double>(Product(c.dst) / c.dst[1]);
  return WantsWinograd(c, false) ? direct / kWinogradGain : direct;
}

// Visits the voxels of dst in the order of the folded tensor: visit(offset in folded, offset in dst).
// Both are one image of a batch; `folded` is (tile, O, tiles), dst is (O, voxels).
class Grid {
 public:
  explicit Grid(const Case &c, const Fold &fold)
      : channels_(c.dst[1]),
        images_(c.dst[0]),
        tile_(ToSpace(fold.tile.begin(), fold.tile.end())),
        voxels_(ToSpace(c.dst.begin() + 2, c.dst.end())),
        tiles_(ToSpace(fold.folded.dst.begin() + 2, fold.folded.dst.end())) {}

  // copy(row of folded, row of dst, stride in dst, count): one row of tiles along the width.
  template <class Copy>
  void ForEachRow(Copy copy) const {
    const int64_t planes = images_ * Product(tile_) * channels_;
#pragma omp parallel for schedule(static)
    for (int64_t plane = 0; plane < planes; plane++) {
      const int64_t channel = plane % channels_, shift = plane / channels_ % Product(tile_);
      const int64_t image = plane / channels_ / Product(tile_);
      const Space at{shift / (tile_[1] * tile_[2]), shift / tile_[2] % tile_[1], shift % tile_[2]};
      const int64_t folded = (image * kBlock + shift * channels_ + channel) * Product(tiles_);
      CopyPlane(folded, (image * channels_ + channel) * Product(voxels_), at, copy);
    }
  }

 private:
  template <class Copy>
  void CopyPlane(int64_t folded, int64_t dst, const Space &at, Copy copy) const {
    const int64_t count = std::max<int64_t>(0, (voxels_[2] - at[2] + tile_[2] - 1) / tile_[2]);
    for (int64_t z = 0; z * tile_[0] + at[0] < voxels_[0]; z++) {
      for (int64_t y = 0; y * tile_[1] + at[1] < voxels_[1]; y++) {
        const int64_t row = ((z * tile_[0] + at[0]) * voxels_[1] + y * tile_[1] + at[1]) * voxels_[2] + at[2];
        copy(folded + (z * tiles_[1] + y) * tiles_[2], dst + row, tile_[2], count);
      }
    }
  }

  int64_t channels_, images_;
  Space tile_, voxels_, tiles_;
};

// The filters' places: visit(offset of a row in the folded weights, offset of the same row in the small ones, length).
template <class Visit>
void ForEachFilterRow(const Case &c, const Fold &fold, Visit visit) {
  const Space small = ToSpace(c.weights.begin() + 2, c.weights.end());
  const Space large = ToSpace(fold.folded.weights.begin() + 2, fold.folded.weights.end());
  const Space tile = ToSpace(fold.tile.begin(), fold.tile.end());
  const int64_t filters = c.weights[0] * c.weights[1];
  for (int64_t shift = 0; shift < Product(tile); shift++) {
    const Space at{shift / (tile[1] * tile[2]), shift / tile[2] % tile[1], shift % tile[2]};
    for (int64_t f = 0; f < filters; f++) {
      for (int64_t z = 0; z < small[0]; z++) {
        for (int64_t y = 0; y < small[1]; y++) {
          const int64_t row = (shift * filters + f) * Product(large);
          visit(row + ((z + at[0]) * large[1] + y + at[1]) * large[2] + at[2],
                f * Product(small) + (z * small[1] + y) * small[2], small[2]);
        }
      }
    }
  }
}

class FoldedForward : public Forward {
 public:
  FoldedForward(const Case &c, const Fold &fold)
      : case_(c), fold_(fold), grid_(c, fold), inner_(MakeForward(fold.folded)) {}

  void Run(Source src, const float *weights, const float *bias, float *dst) override {
    Arena::Scope scope;
    float *many = TakeFloats(Product(fold_.folded.weights));
    std::fill_n(many, Product(fold_.folded.weights), 0.0F);
    ForEachFilterRow(case_, fold_,
                     [=](int64_t to, int64_t from, int64_t length) { std::copy_n(weights + from, length, many + to); });
    float *biases = bias == nullptr ? nullptr : TakeFloats(kBlock);
    for (int64_t i = 0; bias != nullptr && i < kBlock; i++) biases[i] = bias[i % case_.dst[1]];
    float *result = TakeFloats(Product(fold_.folded.dst));
    inner_->Run(src, many, biases, result);
    grid_.ForEachRow([=](int64_t folded, int64_t plain, int64_t step, int64_t count) {
      for (int64_t i = 0; i < count; i++) dst[plain + i * step] = result[folded + i];
    });
  }

 private:
  Case case_;
  Fold fold_;
  Grid grid_;
  std::unique_ptr<Forward> inner_;
};

class FoldedWeights : public Backward {
 public:
  FoldedWeights(const Case &c, const Fold &fold)
      : case_(c), fold_(fold), grid_(c, fold), inner_(MakeBackward(fold.folded, false, true)) {}

  void Run(Source src, const float *weights, const float *diff_dst, const Gradients &out) override {
    Arena::Scope scope;
    float *gradient = TakeFloats(Product(fold_.folded.dst));
    std::fill_n(gradient, Product(fold_.folded.dst), 0.0F);  // tiles at the border reach beyond the image
    grid_.ForEachRow([=](int64_t folded, int64_t plain, int64_t step, int64_t count) {
      for (int64_t i = 0; i < count; i++) gradient[folded + i] = diff_dst[plain + i * step];
    });
    Gradients many;
    many.weights = TakeFloats(Product(fold_.folded.weights));
    if (out.bias != nullptr) many.bias = TakeFloats(kBlock);
    inner_->Run(src, weights, gradient, many);
    std::fill_n(out.weights, Product(case_.weights), 0.0F);
    ForEachFilterRow(case_, fold_, [&](int64_t from, int64_t to, int64_t length) {
      for (int64_t i = 0; i < length; i++) out.weights[to + i] += many.weights[from + i];
    });
    if (out.bias == nullptr) return;
    std::fill_n(out.bias, case_.dst[1], 0.0F);
    const int64_t used = Product(fold_.tile) * case_.dst[1];
    for (int64_t i = 0; i < used; i++) out.bias[i % case_.dst[1]] += many.bias[i];
  }

 private:
  Case case_;
  Fold fold_;
  Grid grid_;
  std::unique_ptr<Backward> inner_;
};

bool CanFold(const Case &c) {
  const auto is_one = [](int64_t step) { return step == 1; };
  return !c.transposed && c.dst[1] <= kFewChannels && c.src[1] > kFewChannels &&
         std::all_of(c.window.strides.begin(), c.window.strides.end(), is_one);
}

}  // namespace

std::optional<Fold> ChooseFold(const Case &c) {
  if (!CanFold(c)) return std::nullopt;
  std::optional<Fold> best;
  double least = Cost(c) / kLeastGain;
  const std::size_t axes = c.src.size() - 2;
  for (int64_t depth = 1; depth <= (axes == 3 ? 4 : 1); depth *= 2) {
    for (int64_t height = 1; height <= (axes >= 2 ? 4 : 1); height *= 2) {
      for (int64_t width = 1; depth * height * width * c.dst[1] <= kBlock; width++) {
        const Space sides{depth, height, width};
        const Dims tile(sides.end() - static_cast<int64_t>(axes), sides.end());
        const Case folded = FoldedCase(c, tile);
        if (Cost(folded) >= least) continue;
        least = Cost(folded);
        best = Fold{tile, folded};
      }
    }
  }
  return best;
}

std::unique_ptr<Forward> MakeFoldedForward(const Case &c, const Fold &fold) {
  return std::make_unique<FoldedForward>(c, fold);
}

std::unique_ptr<Backward> MakeFoldedWeights(const Case &c, const Fold &fold) {
  return std::make_unique<FoldedWeights>(c, fold);
}

}  // namespace mindvoxel
