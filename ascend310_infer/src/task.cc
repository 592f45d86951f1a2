#include "task.h"

#include <iostream>

#include "cases.h"
#include "classify.h"
#include "errors.h"
#include "network_stage.h"
#include "self_test.h"

namespace mindvoxel {
namespace {

Task windows_task(const Bundle& bundle, const Options& options) {
  const std::vector<WindowFile> windows = find_windows(bundle, options.input, options.output);
  Task task;
  for (const WindowFile& file : windows) task.outputs.push_back(file.output);
  task.run = [&bundle, windows](Engine& engine, Report& report) { run_windows(bundle, windows, engine, report); };
  return task;
}

Task photos_task(const Bundle& bundle, const Options& options) {
  const std::vector<PhotoFile> photos = find_photos(options.input);
  const std::filesystem::path table = options.output / "predictions.csv";
  return {{table}, [&bundle, photos, table](Engine& engine, Report& report) {
            report.unit = report.call = "photo";
            classify_photos(bundle, photos, table, engine, report);
          }};
}

Task cases_task(const Bundle& bundle, const Options& options) {
  const std::vector<Job> jobs = find_jobs(bundle, options);
  Task task;
  for (const Job& job : jobs) task.outputs.push_back(job.mask);
  task.run = [&bundle, &options, jobs](Engine& engine, Report& report) {
    if (bundle.sliding.validated_with_tta && !options.tta) {
      std::cout << "the bundle was validated with mirrored windows; --tta mirrors them\n";
    }
    run_cases(bundle, jobs, engine, options, report);
  };
  return task;
}

}  // namespace

Task task_of(const Bundle& bundle, const Options& options) {
  if (bundle.classifies() && options.tta) {
    throw InputError("--tta mirrors the windows of scans, and " + options.bundle.string() +
                     " tells the class of photos; leave it out");
  }
  if (options.network_stage) return windows_task(bundle, options);
  if (options.self_test) {
    const auto test = bundle.classifies() ? self_test_photo : self_test;
    return {{}, [&, test](Engine& engine, Report& report) { test(bundle, engine, options, report); }};
  }
  return bundle.classifies() ? photos_task(bundle, options) : cases_task(bundle, options);
}

}  // namespace mindvoxel
