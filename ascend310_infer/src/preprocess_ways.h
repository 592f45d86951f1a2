// The two ways from a scan to what the network sees, and what they share.
#pragma once

#include <cstddef>

#include "preprocess.h"

namespace mindvoxel {

/// By a plan (data/preprocess.py).
Prepared preprocess_planned(const Bundle& bundle, Scan scan, std::size_t threads);

/// V-Net's (data/prepare.py).
Prepared preprocess_scan(const Bundle& bundle, Scan scan, std::size_t threads);

/// Throws InputError for a grid that no scan needs: then its spacing is in the wrong unit.
void require_reasonable(const Shape& shape, const Spacing& spacing_mm, const Spacing& source_mm);

/// Voxels over the same extent: spacing / new spacing · size, to the nearest (even at a half) or, by the rule floor,
/// down; 1 or more.
Shape new_shape(const Shape& shape, const Spacing& old_mm, const Spacing& new_mm, const std::string& rounding);

}  // namespace mindvoxel
