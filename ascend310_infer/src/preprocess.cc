#include "preprocess.h"

#include <algorithm>
#include <cmath>

#include "errors.h"
#include "preprocess_ways.h"
#include "text.h"

namespace mindvoxel {
namespace {

constexpr double kAnisotropic = 3;       // times the spacing of another axis
constexpr double kMostVoxels = 1 << 30;  // no scan comes near

}  // namespace

Prepared preprocess(const Bundle& bundle, Scan scan, std::size_t threads) {
  if (scan.image.channels != bundle.channels.size()) {
    throw InputError(text(scan.image.channels, " channels in the scan, the network takes ", bundle.channels.size(),
                          " (", joined(bundle.channels, ", "), "); name that many"));
  }
  const bool planned = bundle.preprocessing.way == "planned";
  return planned ? preprocess_planned(bundle, std::move(scan), threads)
                 : preprocess_scan(bundle, std::move(scan), threads);
}

int anisotropic_axis(const Spacing& old_mm, const Spacing& new_mm, const std::string& rule) {
  for (const Spacing& mm : {old_mm, new_mm}) {
    const auto [finest, coarsest] = std::minmax_element(mm.begin(), mm.end());
    const double ratio = *coarsest / *finest;
    if (rule == "from_3" && ratio >= kAnisotropic) return 0;
    if (rule != "from_3" && ratio > kAnisotropic) {
      const bool alone = std::count(mm.begin(), mm.end(), *coarsest) == 1;
      return alone ? static_cast<int>(std::find(mm.begin(), mm.end(), *coarsest) - mm.begin()) : -1;
    }
  }
  return -1;
}

void require_reasonable(const Shape& shape, const Spacing& spacing_mm, const Spacing& source_mm) {
  const double count = static_cast<double>(shape[0]) * static_cast<double>(shape[1]) * static_cast<double>(shape[2]);
  if (count > kMostVoxels) {
    throw InputError(text(joined(shape, "×"), " voxels at (", joined(spacing_mm, ", "), ") mm are more than ",
                          kMostVoxels, "; is the scan's spacing of (", joined(source_mm, ", "), ") mm right?"));
  }
}

Shape new_shape(const Shape& shape, const Spacing& old_mm, const Spacing& new_mm, const std::string& rounding) {
  Shape result{};
  Spacing exact{};
  for (std::size_t axis = 0; axis < 3; ++axis) {
    exact[axis] = old_mm[axis] / new_mm[axis] * static_cast<double>(shape[axis]);
    const double whole = rounding == "floor" ? std::floor(exact[axis]) : std::nearbyint(exact[axis]);
    result[axis] = static_cast<std::size_t>(std::clamp(whole, 1.0, kMostVoxels + 1));
  }
  require_reasonable(result, new_mm, old_mm);
  return result;
}

}  // namespace mindvoxel
