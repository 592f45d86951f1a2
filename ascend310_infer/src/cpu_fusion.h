// From the ONNX operators of a network to this project's own on the CPU.
#pragma once

#include <cstddef>
#include <memory>
#include <openvino/core/model.hpp>

namespace mindvoxel {

/// Whether most multiplications of the model's convolutions are in those that these operators compute by Winograd's
/// way; grouped ones, which they leave alone, do not count.
bool suits_cpu_operators(const ov::Model& model);

/// How many of a model's operators were replaced.
struct Replaced {
  std::size_t convolutions = 0, all_convolutions = 0;  ///< transposed ones, too
  std::size_t blocked = 0;                             ///< of the convolutions, those whose result is blocked
  std::size_t normalisations = 0;
};

/// Put Convolve and Normalize in the place of convolutions, and of normalisations with their activations and
/// residuals; whatever else there is stays.  Between them tensors become blocked where nobody else sees them.
Replaced use_cpu_operators(const std::shared_ptr<ov::Model>& model);

}  // namespace mindvoxel
