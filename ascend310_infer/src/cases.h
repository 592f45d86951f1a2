// Scans to masks, one after the other, by a network that stays loaded.
#pragma once

#include <filesystem>
#include <vector>

#include "bundle.h"
#include "engine.h"
#include "inputs.h"
#include "options.h"
#include "report.h"

namespace mindvoxel {

/// A case and where its mask goes.
struct Job {
  Case scan;
  std::filesystem::path mask;
};

/// What options.input holds; the header of every file has been read.
///
/// Throws InputError, in one sentence, for what names or headers show to be wrong.
std::vector<Job> find_jobs(const Bundle& bundle, const Options& options);

/// Read, segment and write all, as run_each does.
void run_cases(const Bundle& bundle, const std::vector<Job>& jobs, Engine& engine, const Options& options,
               Report& report);

/// A case up to its labels, after postprocessing.  one: gets its times; call_s: that of each call of the network, too.
Labels label_case(const Bundle& bundle, const std::vector<std::filesystem::path>& files, Engine& engine,
                  const Options& options, CaseReport& one, std::vector<double>& call_s);

}  // namespace mindvoxel
