#include "windows.h"

#include <algorithm>
#include <cmath>

namespace mindvoxel {
namespace {

/// Weights of one axis, the middle counts 1.
std::vector<double> axis_weight(std::size_t size, const std::string& blend) {
  const auto n = static_cast<double>(size);
  const double middle = blend == "nnunet" ? std::floor(n / 2) : (n - 1) / 2;
  const double power = blend == "nvidia" ? 1.0 / 3.0 : 1.0;
  std::vector<double> weight(size);
  for (std::size_t i = 0; i < size; ++i) {
    const double distance = (static_cast<double>(i) - middle) / (n / 8);
    weight[i] = std::exp(-0.5 * power * (distance * distance));
  }
  return weight;
}

}  // namespace

std::vector<std::size_t> window_starts(std::size_t size, std::size_t window, double overlap, bool spread) {
  const std::size_t rest = size - window;
  const double step = std::max(static_cast<double>(window) * (1 - overlap), 1.0);
  std::vector<std::size_t> starts;
  if (!spread) {
    for (std::size_t start = 0; start < rest; start += static_cast<std::size_t>(step)) starts.push_back(start);
    starts.push_back(rest);
    return starts;
  }
  const auto gaps = static_cast<std::size_t>(std::ceil(static_cast<double>(rest) / step));
  const double even = gaps ? static_cast<double>(rest) / static_cast<double>(gaps) : 0;
  for (std::size_t i = 0; i < gaps; ++i) {  // nearbyint: halves to the even number, as NumPy rounds
    starts.push_back(static_cast<std::size_t>(std::nearbyint(static_cast<double>(i) * even)));
  }
  starts.push_back(rest);
  return starts;
}

std::vector<Shape> window_boxes(const Shape& shape, const Shape& window, double overlap, bool spread) {
  std::array<std::vector<std::size_t>, 3> starts;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    starts[axis] = window_starts(shape[axis], window[axis], overlap, spread);
  }
  std::vector<Shape> boxes;
  for (const std::size_t z : starts[0]) {
    for (const std::size_t y : starts[1]) {
      for (const std::size_t x : starts[2]) boxes.push_back({z, y, x});
    }
  }
  return boxes;
}

std::vector<float> blend_weight(const Shape& window, const std::string& blend) {
  if (blend == "constant") return std::vector<float>(num_voxels(window), 1.0f);
  std::array<std::vector<double>, 3> axes;
  double largest = 1;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    axes[axis] = axis_weight(window[axis], blend);
    largest *= *std::max_element(axes[axis].begin(), axes[axis].end());
  }
  std::vector<float> weight;
  weight.reserve(num_voxels(window));
  for (const double z : axes[0]) {
    for (const double y : axes[1]) {
      for (const double x : axes[2]) weight.push_back(static_cast<float>(z * y * x / largest));
    }
  }
  float least = 1e-3f;
  if (blend != "gaussian") {
    least = 1;
    for (const float one : weight) least = one > 0 ? std::min(least, one) : least;
  }
  for (float& one : weight) one = std::max(one, least);
  return weight;
}

std::vector<std::array<bool, 3>> flips(const std::vector<std::size_t>& axes, std::size_t num_axes) {
  std::vector<std::array<bool, 3>> all;
  for (std::size_t chosen = 0; chosen < (std::size_t{1} << axes.size()); ++chosen) {
    std::array<bool, 3> mirrored{false, false, false};
    for (std::size_t i = 0; i < axes.size(); ++i) {  // the last axis changes first
      mirrored[axes[i] + 3 - num_axes] = (chosen >> (axes.size() - 1 - i) & 1) != 0;
    }
    all.push_back(mirrored);
  }
  return all;
}

}  // namespace mindvoxel
