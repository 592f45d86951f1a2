#include "itk_resample.h"

#include <itkBSplineInterpolateImageFunction.h>
#include <itkLinearInterpolateImageFunction.h>
#include <itkNearestNeighborInterpolateImageFunction.h>
#include <itkResampleImageFilter.h>

#include <algorithm>
#include <cmath>

#include "itk_image.h"

namespace mindvoxel {
namespace {

using Matrix = itk::Image<double, 2>;
constexpr std::size_t kEdge = 12;  // voxels of the edge repeated before ITK's spline, whose own border is a mirror
constexpr double kNothing = 1e-9;  // weights below are left out
constexpr std::size_t kLeastColumns = 4;  // ITK's spline needs 4 of them

/// Row i is the unit vector of voxel i, the first and the last row repeated `edge` times.
Matrix::Pointer unit_vectors(std::size_t size, std::size_t columns, std::size_t edge) {
  auto units = Matrix::New();
  units->SetRegions(Matrix::SizeType{{columns, size + 2 * edge}});
  units->Allocate(true);
  double* values = units->GetBufferPointer();
  for (std::size_t row = 0; row < size + 2 * edge; ++row) {
    values[row * columns + std::clamp(row, edge, edge + size - 1) - edge] = 1;
  }
  return units;
}

Matrix::Pointer resampled_units(std::size_t size, std::size_t new_size, int order) {
  const std::size_t edge = order == 3 ? kEdge : 0, columns = std::max(size, kLeastColumns);
  const double step = static_cast<double>(size) / static_cast<double>(new_size);
  auto filter = itk::ResampleImageFilter<Matrix, Matrix>::New();
  filter->SetInput(unit_vectors(size, columns, edge));
  filter->SetSize(Matrix::SizeType{{columns, new_size}});
  const double spacing[2] = {1.0, step}, origin[2] = {0.0, 0.5 * step - 0.5 + static_cast<double>(edge)};
  filter->SetOutputSpacing(spacing);
  filter->SetOutputOrigin(origin);
  if (order == 3) {
    filter->SetInterpolator(itk::BSplineInterpolateImageFunction<Matrix>::New());
  } else {
    filter->SetInterpolator(itk::LinearInterpolateImageFunction<Matrix>::New());
  }
  filter->SetNumberOfWorkUnits(1);
  filter->Update();
  return filter->GetOutput();
}

using VolumeImage = itk::Image<float, 3>;

/// Spacing and direction of a grid on an image or on the filter that makes one, which name them differently.
struct ItkGrid {
  explicit ItkGrid(const Geometry& geometry) {
    for (unsigned int axis = 0; axis < 3; ++axis) {
      spacing[axis] = geometry.spacing_mm[2 - axis];
      origin[axis] = geometry.origin_mm[axis];
      for (unsigned int row = 0; row < 3; ++row) direction(row, axis) = geometry.direction[3 * row + axis];
    }
  }
  VolumeImage::SpacingType spacing;
  VolumeImage::PointType origin;
  VolumeImage::DirectionType direction;
};

}  // namespace

AxisWeights axis_weights(std::size_t size, std::size_t new_size, int order) {
  const Matrix::Pointer resampled = resampled_units(size, new_size, order);
  const std::size_t columns = std::max(size, kLeastColumns);
  AxisWeights weights{size, new_size, {}, {0}, {}};
  for (std::size_t row = 0; row < new_size; ++row) {
    const double* values = resampled->GetBufferPointer() + row * columns;
    std::size_t first = 0, last = size;
    while (first + 1 < size && std::abs(values[first]) < kNothing) ++first;
    while (last > first + 1 && std::abs(values[last - 1]) < kNothing) --last;
    weights.first.push_back(first);
    for (std::size_t i = first; i < last; ++i) {
      weights.values.push_back(std::abs(values[i]) < kNothing ? 0.0F : static_cast<float>(values[i]));
    }
    weights.begin.push_back(weights.values.size());
  }
  return weights;
}

std::vector<float> resample_world(const std::vector<float>& voxels, const WorldGrid& from, const WorldGrid& to,
                                  const std::string& order, std::size_t threads) {
  // ITK's image takes a pointer that may be written to; the filter does not write to its input.
  const VolumeImage::Pointer image = wrap(const_cast<float*>(voxels.data()), from.shape);
  const ItkGrid source(from.geometry), target(to.geometry);
  image->SetSpacing(source.spacing);
  image->SetOrigin(source.origin);
  image->SetDirection(source.direction);
  auto filter = itk::ResampleImageFilter<VolumeImage, VolumeImage>::New();
  filter->SetInput(image);
  filter->SetSize(VolumeImage::SizeType{{to.shape[2], to.shape[1], to.shape[0]}});
  filter->SetOutputSpacing(target.spacing);
  filter->SetOutputOrigin(target.origin);
  filter->SetOutputDirection(target.direction);
  filter->SetDefaultPixelValue(0);
  if (order == "nearest") {
    filter->SetInterpolator(itk::NearestNeighborInterpolateImageFunction<VolumeImage>::New());
  }
  filter->SetNumberOfWorkUnits(static_cast<unsigned int>(threads));
  filter->Update();
  const float* found = filter->GetOutput()->GetBufferPointer();
  return std::vector<float>(found, found + num_voxels(to.shape));
}

}  // namespace mindvoxel
