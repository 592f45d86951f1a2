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
#include "volume.h"

namespace mindvoxel {
namespace {

constexpr double kLeastEqual = 0.999;

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

/// Share of voxels that hold the same label; 0 where the shapes differ.
double share_equal(const Labels& found, const Scan& expected) {
  if (expected.image.shape != found.shape || expected.image.channels != 1) return 0;
  std::size_t equal = 0;
  for (std::size_t i = 0; i < found.voxels.size(); ++i) {
    equal += static_cast<float>(found.voxels[i]) == expected.image.voxels[i] ? 1u : 0u;
  }
  return static_cast<double>(equal) / static_cast<double>(found.voxels.size());
}

}  // namespace

void self_test(const Bundle& bundle, Engine& engine, const Options& options, Report& report) {
  CaseReport one;
  one.name = "reference";
  TimedEngine timed(engine, report.call_s);
  const Labels found = label_case(bundle, {bundle.reference_image()}, timed, options, one);
  report.cases.push_back(std::move(one));
  const Scan expected = read_scan({bundle.reference_labels()}, bundle.default_spacing_mm);
  const double share = share_equal(found, expected);
  std::ostringstream line;
  line << std::fixed << std::setprecision(3) << 100 * share << " % of " << found.voxels.size()
       << " voxels of the reference case are as they were exported";
  if (!same(found.geometry, expected.geometry)) {
    throw WorkError("self-test failed: the mask lies elsewhere than the bundle's, " + line.str() +
                    "; export the bundle again with this version");
  }
  if (share < kLeastEqual) {
    throw WorkError("self-test failed: " + line.str() + ", and 99.9 % are needed; do not use this device with " +
                    options.precision + " for this bundle");
  }
  std::cout << "self-test passed: " << line.str() << "; " << engine.describe() << "\n";
}

}  // namespace mindvoxel
