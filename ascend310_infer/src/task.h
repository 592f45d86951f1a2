// What a command does once the network is loaded.
#pragma once

#include <filesystem>
#include <functional>
#include <vector>

#include "bundle.h"
#include "engine.h"
#include "options.h"
#include "report.h"

namespace mindvoxel {

struct Task {
  std::vector<std::filesystem::path> outputs;  ///< files that it makes, beside the report
  std::function<void(Engine&, Report&)> run;
};

/// By the bundle and the flags, both of which must outlive it; its input has been looked at.  Throws InputError, in one
/// sentence, for what that shows to be wrong, and for flags that have no meaning for the bundle.
Task task_of(const Bundle& bundle, const Options& options);

}  // namespace mindvoxel
