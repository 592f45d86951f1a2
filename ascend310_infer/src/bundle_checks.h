// Whether the values of deploy.json fit together.
#pragma once

#include <string>

#include "bundle.h"

namespace mindvoxel {

/// Throws InputError, in one sentence that begins with `where`, for a value that this program does not know, or that
/// contradicts another.
void check_bundle(const Bundle& bundle, const std::string& where);

}  // namespace mindvoxel
