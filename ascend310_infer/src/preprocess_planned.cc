#include <algorithm>

#include "crop.h"
#include "errors.h"
#include "normalize.h"
#include "preprocess_ways.h"
#include "resample.h"
#include "text.h"

namespace mindvoxel {
namespace {

constexpr float kInside = 0.5F - 1e-6F;  // a tie is one, whatever the rounding of its weights

/// What a scan of `spacing_mm` is resampled to, network axes; 2-D leaves the first axis as it is.
Spacing target_spacing(const Spacing& spacing_mm, const std::vector<double>& wanted) {
  if (wanted.empty()) return spacing_mm;
  if (wanted.size() == 2) return {spacing_mm[0], wanted[0], wanted[1]};
  return {wanted.at(0), wanted.at(1), wanted.at(2)};
}

Shape permuted(const Shape& shape, const std::array<std::size_t, 3>& axes) {
  return {shape[axes[0]], shape[axes[1]], shape[axes[2]]};
}

/// The scan's channels, cut to their box, in network axes; the scan's own are given up.
std::vector<std::vector<float>> cut_channels(Image image, const Box& box, const std::array<std::size_t, 3>& axes,
                                             std::size_t threads) {
  std::vector<std::vector<float>> channels;
  const bool as_it_is = box.shape == image.shape && axes == std::array<std::size_t, 3>{0, 1, 2};
  if (as_it_is && image.channels == 1) {
    channels.push_back(std::move(image.voxels));
    return channels;
  }
  for (std::size_t c = 0; c < image.channels; ++c) {
    channels.push_back(cut(image.channel(c), image.shape, box, axes, threads));
  }
  return channels;
}

/// Where zscore_mask looks, on the grid of the scan; empty where no channel needs it.
std::vector<unsigned char> mask_of(const Preprocessing& rule, const std::vector<std::vector<float>>& channels,
                                   const Shape& shape, std::size_t threads) {
  const auto& schemes = rule.normalization;
  const bool needed =
      std::any_of(schemes.begin(), schemes.end(), [](const Normalization& one) { return one.scheme == "zscore_mask"; });
  if (!needed || rule.crop != "nonzero") return {};
  return nonzero_mask(channels, shape, threads);
}

/// A mask on another grid: 1 where its share, resized linearly, reaches a half.
std::vector<unsigned char> resize_mask(const std::vector<unsigned char>& mask, const Shape& from, const Shape& to,
                                       int apart, std::size_t threads) {
  if (mask.empty() || from == to) return mask;
  const auto shares = resize(std::vector<float>(mask.begin(), mask.end()), from, to, 1, apart, threads);
  std::vector<unsigned char> resized(shares.size());
  std::transform(shares.begin(), shares.end(), resized.begin(),
                 [](float share) { return static_cast<unsigned char>(share >= kInside ? 1 : 0); });
  return resized;
}

/// A channel by its scheme.  mask: of all channels; where the plan crops to positive voxels (NVIDIA) the channel's own
/// voxels that are not 0 take its place.
void normalize_channel(const Bundle& bundle, std::size_t c, std::vector<float>& voxels,
                       const std::vector<unsigned char>& mask, std::size_t threads) {
  const Preprocessing& rule = bundle.preprocessing;
  const Normalization& scheme = rule.normalization.at(c);
  std::vector<unsigned char> own;
  if (rule.crop != "nonzero" && scheme.scheme == "zscore_mask") {
    own.resize(voxels.size());
    std::transform(voxels.begin(), voxels.end(), own.begin(),
                   [](float x) { return static_cast<unsigned char>(x != 0 ? 1 : 0); });
  }
  try {
    normalize(scheme, voxels, rule.crop == "nonzero" ? mask : own, threads);
  } catch (const InputError& error) {
    throw InputError(text("channel ", bundle.channels[c], ": ", error.what()));
  }
}

Grid grid_of(const Preprocessing& rule, const Scan& scan, const Box& box) {
  Grid grid;
  grid.source_shape = scan.image.shape;
  grid.geometry = scan.geometry;
  grid.axes = rule.axes;
  grid.crop_start = permuted(box.start, rule.axes);
  grid.crop_shape = permuted(box.shape, rule.axes);
  const auto& mm = scan.geometry.spacing_mm;
  const Spacing old_mm{mm[rule.axes[0]], mm[rule.axes[1]], mm[rule.axes[2]]};
  grid.spacing_mm = target_spacing(old_mm, rule.spacing_mm);
  grid.shape = new_shape(grid.crop_shape, old_mm, grid.spacing_mm, rule.rounding);
  return grid;
}

}  // namespace

Prepared preprocess_planned(const Bundle& bundle, Scan scan, std::size_t threads) {
  const Preprocessing& rule = bundle.preprocessing;
  const Box box = nonzero_box(scan.image, rule.crop == "positive", threads);
  Prepared prepared;
  const Grid& grid = prepared.grid = grid_of(rule, scan, box);
  const auto& mm = grid.geometry.spacing_mm;
  const int apart =
      anisotropic_axis({mm[rule.axes[0]], mm[rule.axes[1]], mm[rule.axes[2]]}, grid.spacing_mm, rule.anisotropy);
  auto channels = cut_channels(std::move(scan.image), box, rule.axes, threads);
  std::vector<unsigned char> mask = mask_of(rule, channels, grid.crop_shape, threads);
  const bool first = rule.order == "normalize_resample";
  if (!first) mask = resize_mask(mask, grid.crop_shape, grid.shape, apart, threads);

  Image& image = prepared.image;
  image.channels = channels.size();
  image.shape = grid.shape;
  if (channels.size() > 1) image.voxels.reserve(channels.size() * num_voxels(grid.shape));
  for (std::size_t c = 0; c < channels.size(); ++c) {
    std::vector<float> voxels = std::move(channels[c]);
    channels[c] = {};
    if (first) normalize_channel(bundle, c, voxels, mask, threads);
    voxels = resize(std::move(voxels), grid.crop_shape, grid.shape, 3, apart, threads);
    if (!first) normalize_channel(bundle, c, voxels, mask, threads);
    if (channels.size() == 1) {
      image.voxels = std::move(voxels);
    } else {
      image.voxels.insert(image.voxels.end(), voxels.begin(), voxels.end());
    }
  }
  return prepared;
}

}  // namespace mindvoxel
