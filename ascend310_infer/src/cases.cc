#include "cases.h"

#include <cstddef>
#include <numeric>
#include <optional>
#include <utility>

#include "each.h"
#include "errors.h"
#include "preprocess.h"
#include "segment.h"
#include "stop.h"
#include "text.h"

namespace mindvoxel {
namespace {

/// As preprocess; what it throws names the scan.
Prepared prepare(const Bundle& bundle, const std::vector<std::filesystem::path>& files, Scan scan,
                 std::size_t threads) {
  try {
    return preprocess(bundle, std::move(scan), threads);
  } catch (const InputError& error) {
    throw InputError(text(files.front().string(), ": ", error.what()));
  }
}

void run_case(const Bundle& bundle, const Job& job, Engine& engine, const Options& options, CaseReport& one,
              std::vector<double>& call_s) {
  const Labels labels = label_case(bundle, job.scan.files, engine, options, one, call_s);
  Clock clock;
  write_labels(job.mask, labels);
  one.seconds[kWrite] = clock.lap();
}

}  // namespace

std::vector<Job> find_jobs(const Bundle& bundle, const Options& options) {
  const std::vector<Case> cases = find_cases(options.input, bundle.channels.size());
  check_headers(cases, bundle.channels.size(), bundle.default_spacing_mm);
  std::vector<Job> jobs;
  jobs.reserve(cases.size());
  for (const Case& scan : cases) jobs.push_back({scan, mask_path(scan, options.output)});
  return jobs;
}

Labels label_case(const Bundle& bundle, const std::vector<std::filesystem::path>& files, Engine& engine,
                  const Options& options, CaseReport& one, std::vector<double>& call_s) {
  Clock clock;
  Scan scan = read_scan(files, bundle.default_spacing_mm);
  one.seconds[kRead] = clock.lap();
  std::optional<Prepared> prepared = prepare(bundle, files, std::move(scan), options.threads);
  one.seconds[kPreprocess] = clock.lap();
  const std::size_t before = call_s.size();
  TimedEngine timed(engine, call_s);
  Labels labels = segment(bundle, *prepared, timed, options.tta, options.threads, stop_if_told);
  prepared.reset();  // its memory is not needed any more
  one.calls = call_s.size() - before;
  one.seconds[kNetwork] = std::accumulate(call_s.end() - static_cast<std::ptrdiff_t>(one.calls), call_s.end(), 0.0);
  one.seconds[kWayBack] = clock.lap() - one.seconds[kNetwork];
  postprocess(bundle.postprocessing, labels, bundle.label_values[0], options.threads);
  one.seconds[kPostprocess] = clock.lap();
  return labels;
}

void run_cases(const Bundle& bundle, const std::vector<Job>& jobs, Engine& engine, const Options& options,
               Report& report) {
  std::vector<std::string> names;
  names.reserve(jobs.size());
  for (const Job& job : jobs) names.push_back(job.scan.name);
  run_each(names, report,
           [&](std::size_t i, CaseReport& one) { run_case(bundle, jobs[i], engine, options, one, report.call_s); });
}

}  // namespace mindvoxel
