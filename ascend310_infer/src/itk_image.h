// Arrays of ours as images of ITK, without a copy.
#pragma once

#include <itkImage.h>

#include "volume.h"

namespace mindvoxel {

/// The image of `voxels` (D, H, W), which must outlive it, at the origin with 1 mm.
template <typename Pixel>
typename itk::Image<Pixel, 3>::Pointer wrap(Pixel* voxels, const Shape& shape) {
  auto image = itk::Image<Pixel, 3>::New();
  image->SetRegions(typename itk::Image<Pixel, 3>::SizeType{{shape[2], shape[1], shape[0]}});
  image->GetPixelContainer()->SetImportPointer(voxels, num_voxels(shape), false);
  return image;
}

}  // namespace mindvoxel
