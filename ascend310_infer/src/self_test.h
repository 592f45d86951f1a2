// The bundle's reference case, whose answer Python computed, on this machine.
#pragma once

#include <cstdint>
#include <vector>

#include "bundle.h"
#include "classify.h"
#include "engine.h"
#include "options.h"
#include "report.h"
#include "volume.h"

namespace mindvoxel {

/// How well two masks agree; as they stand here, not at all.
struct Agreement {
  double share = 0;  ///< of voxels with the same label
  double dice = 0;   ///< of the foreground, in which a voxel of another label is a miss; 1 where neither has any
};

/// expected: labels on one channel; of another shape they do not agree at all.
Agreement agreement_of(const Labels& found, const Image& expected, std::int16_t background);

/// Segment it and compare; prints a line.  Throws WorkError where fewer than 99.9 % of the voxels are equal, the Dice
/// of the foreground is below 0.99, or the geometry is another.
void self_test(const Bundle& bundle, Engine& engine, const Options& options, Report& report);

/// The largest difference of a probability, of the classes in `expected`; found: of all classes.
double most_apart(const std::vector<Prediction>& found, const std::vector<Prediction>& expected);

/// Classify it and compare; prints a line.  Throws WorkError where the likeliest class is another, or a probability
/// that the bundle names is off by more than 0.05.
void self_test_photo(const Bundle& bundle, Engine& engine, const Options& options, Report& report);

}  // namespace mindvoxel
