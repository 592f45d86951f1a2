// From the ONNX operators of a network to this project's own on the CPU.
#pragma once

#include <memory>
#include <openvino/core/model.hpp>

namespace mindvoxel {

/// Whether most multiplications of the model are in convolutions that these operators compute by Winograd's way.
bool suits_cpu_operators(const ov::Model& model);

/// Put Convolve and Normalize in the place of convolutions, and of normalisations with their activations and
/// residuals; whatever else there is stays.  Between them tensors become blocked where nobody else sees them.
void use_cpu_operators(const std::shared_ptr<ov::Model>& model);

}  // namespace mindvoxel
