#include "cases.h"

#include <cstddef>
#include <iostream>
#include <new>
#include <numeric>
#include <optional>
#include <utility>

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
  bool engine_failed = false;
  for (const Job& job : jobs) {
    if (engine_failed) return;
    stop_if_told();
    CaseReport one;
    one.name = job.scan.name;
    try {
      run_case(bundle, job, engine, options, one, report.call_s);
    } catch (const Stopped&) {
      throw;
    } catch (const EngineError& error) {
      one.fault = text(error.what(), "; no later case is begun");
      engine_failed = true;
    } catch (const InputError& error) {
      one.fault = error.what();
      one.bad_input = true;
    } catch (const std::bad_alloc&) {
      one.fault = "there is not enough memory for it; take a machine with more";
    } catch (const std::exception& error) {
      one.fault = error.what();
    }
    if (!one.fault.empty() && jobs.size() > 1) {
      std::cerr << one.name << " failed: " << one_line(one.fault) << std::endl;
    }
    report.cases.push_back(std::move(one));
  }
}

void throw_faults(const Report& report) {
  std::vector<std::string> failed;
  for (const CaseReport& one : report.cases) {
    if (!one.fault.empty()) failed.push_back(one.name);
  }
  if (failed.empty()) return;
  if (report.cases.size() == 1) {
    if (report.cases[0].bad_input) throw InputError(report.cases[0].fault);
    throw WorkError(failed[0] + ": " + report.cases[0].fault);
  }
  throw WorkError(text(failed.size(), " of ", report.cases.size(), " cases failed (", some_of(failed),
                       "), the lines above say why; mend them and segment them again"));
}

}  // namespace mindvoxel
