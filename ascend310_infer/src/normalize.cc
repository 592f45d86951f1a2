#include "normalize.h"

#include <algorithm>
#include <cmath>

#include "errors.h"
#include "parallel.h"
#include "text.h"

namespace mindvoxel {
namespace {

constexpr double kLeastSd = 1e-8;          // a constant image becomes 0 and not NaN
constexpr std::size_t kPiece = 1U << 20U;  // voxels that are summed before their sum is added

/// The sum of `term(voxel)` over the voxels that `counts(index)`, in float64 and in pieces whatever the threads.
template <typename Counts, typename Term>
double sum_of(const std::vector<float>& voxels, std::size_t threads, const Counts& counts, const Term& term) {
  const std::size_t num_pieces = (voxels.size() + kPiece - 1) / kPiece;
  std::vector<double> sums(num_pieces, 0.0);
  parallel_for(num_pieces, threads, [&](std::size_t begin, std::size_t end) {
    for (std::size_t piece = begin; piece < end; ++piece) {
      const std::size_t last = std::min(voxels.size(), (piece + 1) * kPiece);
      double sum = 0;
      for (std::size_t i = piece * kPiece; i < last; ++i) {
        if (counts(i)) sum += term(static_cast<double>(voxels[i]));
      }
      sums[piece] = sum;
    }
  });
  double sum = 0;
  for (const double part : sums) sum += part;
  return sum;
}

struct Moments {
  double count = 0, mean = 0, deviation = 0;
};

template <typename Counts>
Moments moments_of(const std::vector<float>& voxels, std::size_t threads, const Counts& counts) {
  Moments found;
  found.count = sum_of(voxels, threads, counts, [](double) { return 1.0; });
  if (found.count == 0) return found;
  found.mean = sum_of(voxels, threads, counts, [](double x) { return x; }) / found.count;
  const double mean = found.mean;
  const auto square = [mean](double x) { return (x - mean) * (x - mean); };
  found.deviation = std::sqrt(sum_of(voxels, threads, counts, square) / found.count);
  return found;
}

/// voxels = change(voxel), by threads.
template <typename Change>
void for_each(std::vector<float>& voxels, std::size_t threads, const Change& change) {
  parallel_for(voxels.size(), threads, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) voxels[i] = change(voxels[i]);
  });
}

void score(std::vector<float>& voxels, double mean, double deviation, std::size_t threads) {
  const auto centre = static_cast<float>(mean), scale = static_cast<float>(std::max(deviation, kLeastSd));
  for_each(voxels, threads, [=](float x) { return (x - centre) / scale; });
}

void score_ct(const Normalization& rule, std::vector<float>& voxels, std::size_t threads) {
  const float low = rule.low, high = rule.high, mean = rule.mean;
  const auto sd = static_cast<float>(std::max(static_cast<double>(rule.sd), kLeastSd));
  for_each(voxels, threads, [=](float x) {
    const float raised = x < low ? low : x;
    return ((raised > high ? high : raised) - mean) / sd;
  });
}

void score_mask(std::vector<float>& voxels, const std::vector<unsigned char>& mask, std::size_t threads) {
  const Moments inside = moments_of(voxels, threads, [&](std::size_t i) { return mask[i] != 0; });
  if (inside.count > 0) score(voxels, inside.mean, inside.deviation, threads);
  for (std::size_t i = 0; i < voxels.size(); ++i) voxels[i] = mask[i] != 0 ? voxels[i] : 0.0F;
}

void rescale(std::vector<float>& voxels, std::size_t threads) {
  const auto [lowest, highest] = std::minmax_element(voxels.begin(), voxels.end());
  const float low = *lowest, scale = std::max(*highest - low, static_cast<float>(kLeastSd));
  for_each(voxels, threads, [=](float x) { return (x - low) / scale; });
}

void rescale_rgb(std::vector<float>& voxels, std::size_t threads) {
  const auto [low, high] = std::minmax_element(voxels.begin(), voxels.end());
  if (*low < 0 || *high > 255) {
    throw InputError(
        text("values from ", *low, " to ", *high, "; a colour channel holds 0 to 255, name the channel otherwise"));
  }
  for_each(voxels, threads, [](float x) { return x / 255.0F; });
}

}  // namespace

void normalize(const Normalization& rule, std::vector<float>& voxels, const std::vector<unsigned char>& mask,
               std::size_t threads) {
  if (rule.scheme == "ct") {
    score_ct(rule, voxels, threads);
  } else if (rule.scheme == "zscore") {
    const Moments all = moments_of(voxels, threads, [](std::size_t) { return true; });
    score(voxels, all.mean, all.deviation, threads);
  } else if (rule.scheme == "zscore_mask") {
    score_mask(voxels, mask, threads);
  } else if (rule.scheme == "rescale") {
    rescale(voxels, threads);
  } else if (rule.scheme == "rgb") {
    rescale_rgb(voxels, threads);
  }
}

void rescale_unit(std::vector<float>& voxels) {
  const auto [lowest, highest] = std::minmax_element(voxels.begin(), voxels.end());
  const double low = *lowest, high = *highest;
  if (low == high) {
    throw InputError(text("constant image, every voxel is ", low, "; an image with some contrast is needed"));
  }
  for (float& x : voxels) x = static_cast<float>((static_cast<double>(x) - low) / (high - low));
}

void zscore_positive(std::vector<float>& voxels) {
  const Moments positive = moments_of(voxels, 1, [&](std::size_t i) { return voxels[i] > 0; });
  if (positive.deviation == 0) {
    throw InputError("constant image, no contrast among its voxels above 0; an image with some contrast is needed");
  }
  for (float& x : voxels) x = static_cast<float>((static_cast<double>(x) - positive.mean) / positive.deviation);
}

}  // namespace mindvoxel
