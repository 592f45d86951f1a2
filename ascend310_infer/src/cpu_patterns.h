// The ways in which MindSpore's exporter writes what is one operator.
#pragma once

#include <memory>
#include <openvino/core/model.hpp>

namespace mindvoxel {

/// Put Normalize in the place of normalisations, one Elu or PRelu in that of activations written out, a 2-D transposed
/// convolution in that of a 3-D one of depth 1; slices that cut nothing off go.
void gather_patterns(const std::shared_ptr<ov::Model>& model);

}  // namespace mindvoxel
