#include "crop.h"

#include <itkBinaryFillholeImageFilter.h>

#include <algorithm>

#include "itk_image.h"
#include "parallel.h"

namespace mindvoxel {
namespace {

/// Which slices along each axis hold a voxel of the mask.
struct Profiles {
  std::vector<unsigned char> z, y, x;

  explicit Profiles(const Shape& shape) : z(shape[0], 0), y(shape[1], 0), x(shape[2], 0) {}
};

/// Slice z of a channel, in the part of `seen` that is of this thread.
void look_at_slice(const float* slice, const Shape& shape, bool positive, std::size_t z, Profiles& seen) {
  for (std::size_t y = 0; y < shape[1]; ++y) {
    const float* row = slice + y * shape[2];
    unsigned int any = 0;
    for (std::size_t x = 0; x < shape[2]; ++x) {
      const unsigned int kept = positive ? row[x] > 0 : row[x] != 0;
      seen.x[x] = static_cast<unsigned char>(seen.x[x] | kept);
      any |= kept;
    }
    seen.y[y] = static_cast<unsigned char>(seen.y[y] | any);
    seen.z[z] = static_cast<unsigned char>(seen.z[z] | any);
  }
}

void extent_of(const std::vector<unsigned char>& profile, std::size_t& start, std::size_t& count) {
  const auto first = std::find(profile.begin(), profile.end(), 1);
  const auto last = std::find(profile.rbegin(), profile.rend(), 1);
  start = static_cast<std::size_t>(first - profile.begin());
  count = profile.size() - start - static_cast<std::size_t>(last - profile.rbegin());
}

}  // namespace

Box nonzero_box(const Image& image, bool positive, std::size_t threads) {
  const Shape& shape = image.shape;
  const std::size_t parts = std::clamp<std::size_t>(threads, 1, std::max<std::size_t>(shape[0], 1));
  std::vector<Profiles> found(parts, Profiles(shape));
  parallel_for(parts, threads, [&](std::size_t begin, std::size_t end) {
    for (std::size_t part = begin; part < end; ++part) {
      for (std::size_t z = part; z < shape[0]; z += parts) {
        for (std::size_t c = 0; c < image.channels; ++c) {
          look_at_slice(image.channel(c) + z * shape[1] * shape[2], shape, positive, z, found[part]);
        }
      }
    }
  });
  Profiles all(shape);
  for (const Profiles& part : found) {
    const auto join = [](std::vector<unsigned char>& whole, const std::vector<unsigned char>& other) {
      for (std::size_t i = 0; i < whole.size(); ++i) whole[i] = static_cast<unsigned char>(whole[i] | other[i]);
    };
    join(all.z, part.z);
    join(all.y, part.y);
    join(all.x, part.x);
  }
  if (std::find(all.z.begin(), all.z.end(), 1) == all.z.end()) return {{0, 0, 0}, shape};
  Box box;
  extent_of(all.z, box.start[0], box.shape[0]);
  extent_of(all.y, box.start[1], box.shape[1]);
  extent_of(all.x, box.start[2], box.shape[2]);
  return box;
}

std::vector<unsigned char> nonzero_mask(const std::vector<std::vector<float>>& channels, const Shape& shape,
                                        std::size_t threads) {
  std::vector<unsigned char> mask(num_voxels(shape), 0);
  for (const auto& channel : channels) {
    for (std::size_t i = 0; i < mask.size(); ++i) mask[i] = channel[i] != 0 ? 1 : mask[i];
  }
  using MaskImage = itk::Image<unsigned char, 3>;
  auto fill = itk::BinaryFillholeImageFilter<MaskImage>::New();
  fill->SetInput(wrap(mask.data(), shape));
  fill->SetForegroundValue(1);
  fill->SetFullyConnected(false);  // what is outside reaches as far as voxels share a face
  fill->SetNumberOfWorkUnits(static_cast<unsigned int>(threads));
  fill->Update();
  const unsigned char* filled = fill->GetOutput()->GetBufferPointer();
  return std::vector<unsigned char>(filled, filled + mask.size());
}

std::vector<float> cut(const float* voxels, const Shape& shape, const Box& box, const std::array<std::size_t, 3>& axes,
                       std::size_t threads) {
  const Shape strides{shape[1] * shape[2], shape[2], 1};
  const Shape to{box.shape[axes[0]], box.shape[axes[1]], box.shape[axes[2]]};
  const Shape steps{strides[axes[0]], strides[axes[1]], strides[axes[2]]};
  const float* corner = voxels + box.start[0] * strides[0] + box.start[1] * strides[1] + box.start[2];
  std::vector<float> result(num_voxels(to));
  parallel_for(to[0], threads, [&](std::size_t begin, std::size_t end) {
    for (std::size_t z = begin; z < end; ++z) {
      for (std::size_t y = 0; y < to[1]; ++y) {
        const float* from = corner + z * steps[0] + y * steps[1];
        float* row = result.data() + (z * to[1] + y) * to[2];
        for (std::size_t x = 0; x < to[2]; ++x) row[x] = from[x * steps[2]];
      }
    }
  });
  return result;
}

}  // namespace mindvoxel
