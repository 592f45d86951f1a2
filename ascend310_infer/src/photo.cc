#include "photo.h"

#include <algorithm>
#include <cmath>

namespace mindvoxel {
namespace {

/// Where one pixel of a resized axis looks: between the pixels low and high of the photo.
struct Place {
  std::size_t low, high;
  float weight;  ///< of high
};

/// The `size` pixels in the middle of an axis of `length` pixels that is resized to `resized`.
std::vector<Place> places_of(std::size_t length, std::size_t resized, std::size_t size) {
  const std::size_t start = (resized - size) / 2;
  const double scale = static_cast<double>(length) / static_cast<double>(resized);
  std::vector<Place> places(size);
  for (std::size_t i = 0; i < size; ++i) {
    const double source = (static_cast<double>(start + i) + 0.5) * scale - 0.5;
    const double at = std::clamp(source, 0.0, static_cast<double>(length - 1));
    const auto low = static_cast<std::size_t>(at);
    places[i] = {low, std::min(low + 1, length - 1), static_cast<float>(at - static_cast<double>(low))};
  }
  return places;
}

/// length * short_side / shorter, rounded half up.
std::size_t resized_length(std::size_t length, std::size_t shorter, std::size_t short_side) {
  return std::max(short_side, (2 * length * short_side + shorter) / (2 * shorter));
}

float between(float a, float b, float weight) { return a + (b - a) * weight; }

}  // namespace

std::vector<float> prepare_photo(const Photo& photo, const PhotoForm& form) {
  const std::size_t shorter = std::min(photo.height, photo.width), plane = form.size * form.size;
  const auto rows = places_of(photo.height, resized_length(photo.height, shorter, form.short_side), form.size);
  const auto columns = places_of(photo.width, resized_length(photo.width, shorter, form.short_side), form.size);
  std::vector<float> image(3 * plane);
  for (std::size_t y = 0; y < form.size; ++y) {
    const std::uint8_t* above = photo.pixels.data() + 3 * rows[y].low * photo.width;
    const std::uint8_t* below = photo.pixels.data() + 3 * rows[y].high * photo.width;
    for (std::size_t x = 0; x < form.size; ++x) {
      for (std::size_t c = 0; c < 3; ++c) {
        const std::size_t low = 3 * columns[x].low + c, high = 3 * columns[x].high + c;
        const float left = between(above[low], below[low], rows[y].weight);
        const float right = between(above[high], below[high], rows[y].weight);
        const float value = between(left, right, columns[x].weight);
        image[c * plane + y * form.size + x] = (value - form.mean[c]) / form.sd[c];
      }
    }
  }
  return image;
}

}  // namespace mindvoxel
