// From a prepared case to labels on the grid of its scan; memory is a slab of windows.
#pragma once

#include <cstddef>
#include <functional>

#include "bundle.h"
#include "engine.h"
#include "preprocess.h"
#include "volume.h"

namespace mindvoxel {

/// Windows, mirrors, blending, the way back, argmax; no postprocessing.
///
/// tick: called after each call of the network.  Throws WorkError where an answer is not finite.
Labels segment(const Bundle& bundle, const Prepared& prepared, Engine& engine, bool tta, std::size_t threads,
               const std::function<void()>& tick);

/// What deploy.json says of components; see Postprocessing.
void postprocess(const Postprocessing& rule, Labels& labels, std::int16_t background, std::size_t threads);

}  // namespace mindvoxel
