#include "self_test.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <iomanip>
#include <iostream>
#include <sstream>
#include <utility>

#include "cases.h"
#include "errors.h"

namespace mindvoxel {
namespace {

constexpr double kLeastEqual = 0.999, kLeastDice = 0.99;

/// Equal to what a NIfTI file, which holds float32, can tell.
template <std::size_t N>
bool close(const std::array<double, N>& a, const std::array<double, N>& b) {
  for (std::size_t i = 0; i < N; ++i) {
    if (!(std::abs(a[i] - b[i]) <= 1e-6 * std::max(1.0, std::abs(b[i])))) return false;
  }
  return true;
}

bool same(const Geometry& a, const Geometry& b) {
  return close(a.spacing_mm, b.spacing_mm) && close(a.origin_mm, b.origin_mm) && close(a.direction, b.direction);
}

}  // namespace

Agreement agreement_of(const Labels& found, const Image& expected, std::int16_t background) {
  if (expected.shape != found.shape || expected.channels != 1) return {};
  std::size_t equal = 0, foreground = 0, foreground_equal = 0;
  for (std::size_t i = 0; i < found.voxels.size(); ++i) {
    const auto one = static_cast<float>(found.voxels[i]), other = expected.voxels[i];
    const auto none = static_cast<float>(background);
    equal += one == other ? 1u : 0u;
    foreground += (one != none ? 1u : 0u) + (other != none ? 1u : 0u);
    foreground_equal += one == other && one != none ? 1u : 0u;
  }
  Agreement agreement;
  agreement.share = static_cast<double>(equal) / static_cast<double>(found.voxels.size());
  agreement.dice = foreground > 0 ? 2 * static_cast<double>(foreground_equal) / static_cast<double>(foreground) : 1;
  return agreement;
}

void self_test(const Bundle& bundle, Engine& engine, const Options& options, Report& report) {
  CaseReport one;
  one.name = "reference";
  const Labels found = label_case(bundle, {bundle.reference_image()}, engine, options, one, report.call_s);
  report.cases.push_back(std::move(one));
  const Scan expected = read_scan({bundle.reference_answer()}, bundle.default_spacing_mm);
  const Agreement agreement = agreement_of(found, expected.image, bundle.label_values[0]);
  std::ostringstream line;
  line << std::fixed << std::setprecision(3) << 100 * agreement.share << " % of " << found.voxels.size()
       << " voxels of the reference case are as they were exported, the Dice of its foreground is " << agreement.dice;
  if (!same(found.geometry, expected.geometry)) {
    throw WorkError("self-test failed: the mask lies elsewhere than the bundle's, " + line.str() +
                    "; export the bundle again with this version");
  }
  if (agreement.share < kLeastEqual || agreement.dice < kLeastDice) {
    throw WorkError("self-test failed: " + line.str() +
                    ", and 99.9 % and 0.99 are needed; do not use this bundle with " + engine.describe());
  }
  std::cout << "self-test passed: " << line.str() << "; " << engine.describe() << "\n";
}

}  // namespace mindvoxel
