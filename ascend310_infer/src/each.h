// Cases one after the other, where the fault of one does not end the others.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "report.h"

namespace mindvoxel {

/// work(i, its report) for the case of each name.  A fault is noted in the report and told, and the others go on; it
/// ends with the case in which the engine itself fails, for no later one would do better.  Throws Stopped.
void run_each(const std::vector<std::string>& names, Report& report,
              const std::function<void(std::size_t, CaseReport&)>& work);

/// Throws what the faults of the report come to: InputError for a lone case with bad input, WorkError for others.
void throw_faults(const Report& report);

}  // namespace mindvoxel
