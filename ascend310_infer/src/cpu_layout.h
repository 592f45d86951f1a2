// Which tensors between the CPU operators are blocked (cpu_operators.h).
#pragma once

#include <cstddef>
#include <openvino/core/model.hpp>

namespace mindvoxel {

/// Set the layouts of all Convolve and Normalize: blocked wherever nobody else sees it.  Returns how many Convolve give
/// a blocked tensor.
///
/// Between them may stand what does not care for the order within a sample: a sum of two, an activation that does the
/// same to every number, a concatenation along the channels.  One of two tensors that only a Convolve takes is left to
/// it.
std::size_t lay_blocked(const ov::Model& model);

}  // namespace mindvoxel
