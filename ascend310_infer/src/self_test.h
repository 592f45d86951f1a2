// The bundle's reference case, whose labels Python computed, on this machine.
#pragma once

#include "bundle.h"
#include "engine.h"
#include "options.h"
#include "report.h"

namespace mindvoxel {

/// Segment it and compare; prints a line.  Throws WorkError where fewer than 99.9 % of the voxels are equal, or the
/// geometry is another.
void self_test(const Bundle& bundle, Engine& engine, const Options& options, Report& report);

}  // namespace mindvoxel
