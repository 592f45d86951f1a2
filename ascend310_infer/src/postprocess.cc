#include <itkConnectedComponentImageFilter.h>

#include <algorithm>

#include "itk_image.h"
#include "segment.h"

namespace mindvoxel {
namespace {

/// The part of labels that a group takes: its box, and 1 where it stands in there.
struct Part {
  Shape start{0, 0, 0}, shape{0, 0, 0};
  std::vector<unsigned char> mask;

  std::size_t place(std::size_t z, std::size_t y, const Shape& whole) const {
    return ((start[0] + z) * whole[1] + start[1] + y) * whole[2] + start[2];
  }
};

bool holds(const std::vector<std::int16_t>& group, std::int16_t value) {
  return std::find(group.begin(), group.end(), value) != group.end();
}

/// An empty mask where no voxel is of the group.
Part part_of(const Labels& labels, const std::vector<std::int16_t>& group) {
  const Shape& whole = labels.shape;
  Shape low = whole, high{0, 0, 0};
  std::size_t i = 0;
  for (std::size_t z = 0; z < whole[0]; ++z) {
    for (std::size_t y = 0; y < whole[1]; ++y) {
      for (std::size_t x = 0; x < whole[2]; ++x) {
        if (!holds(group, labels.voxels[i++])) continue;
        const Shape at{z, y, x};
        for (std::size_t axis = 0; axis < 3; ++axis) {
          low[axis] = std::min(low[axis], at[axis]);
          high[axis] = std::max(high[axis], at[axis] + 1);
        }
      }
    }
  }
  Part part;
  if (high[0] == 0) return part;
  part.start = low;
  part.shape = {high[0] - low[0], high[1] - low[1], high[2] - low[2]};
  part.mask.reserve(num_voxels(part.shape));
  for (std::size_t z = 0; z < part.shape[0]; ++z) {
    for (std::size_t y = 0; y < part.shape[1]; ++y) {
      const std::int16_t* row = labels.voxels.data() + part.place(z, y, whole);
      for (std::size_t x = 0; x < part.shape[2]; ++x) part.mask.push_back(holds(group, row[x]) ? 1 : 0);
    }
  }
  return part;
}

using MaskImage = itk::Image<unsigned char, 3>;
using ComponentImage = itk::Image<std::uint32_t, 3>;

ComponentImage::Pointer components_of(Part& part, int neighbours, std::size_t threads) {
  auto filter = itk::ConnectedComponentImageFilter<MaskImage, ComponentImage>::New();
  filter->SetInput(wrap(part.mask.data(), part.shape));
  filter->SetFullyConnected(neighbours == 26);
  filter->SetNumberOfWorkUnits(static_cast<unsigned int>(threads));
  filter->Update();
  return filter->GetOutput();
}

/// The number of the largest component; of equally large ones that whose first voxel comes first.
std::uint32_t largest_of(const std::uint32_t* components, std::size_t count) {
  std::vector<std::size_t> sizes;
  std::vector<std::uint32_t> order;  // components by their first voxel
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t component = components[i];
    if (component == 0) continue;
    if (component >= sizes.size()) sizes.resize(component + 1, 0);
    if (sizes[component]++ == 0) order.push_back(component);
  }
  return *std::max_element(order.begin(), order.end(),
                           [&](std::uint32_t a, std::uint32_t b) { return sizes[a] < sizes[b]; });
}

void keep_largest(const std::vector<std::int16_t>& group, int neighbours, Labels& labels, std::int16_t background,
                  std::size_t threads) {
  Part part = part_of(labels, group);
  if (part.mask.empty()) return;
  const ComponentImage::Pointer image = components_of(part, neighbours, threads);
  const std::uint32_t* components = image->GetBufferPointer();
  const std::uint32_t largest = largest_of(components, part.mask.size());
  for (std::size_t z = 0; z < part.shape[0]; ++z) {
    for (std::size_t y = 0; y < part.shape[1]; ++y) {
      std::int16_t* row = labels.voxels.data() + part.place(z, y, labels.shape);
      for (std::size_t x = 0; x < part.shape[2]; ++x, ++components) {
        if (*components != 0 && *components != largest) row[x] = background;
      }
    }
  }
}

}  // namespace

void postprocess(const Postprocessing& rule, Labels& labels, std::int16_t background, std::size_t threads) {
  for (const auto& group : rule.keep_largest) keep_largest(group, rule.neighbours, labels, background, threads);
}

}  // namespace mindvoxel
