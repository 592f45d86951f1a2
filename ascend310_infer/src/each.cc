#include "each.h"

#include <iostream>
#include <new>
#include <utility>

#include "errors.h"
#include "stop.h"
#include "text.h"

namespace mindvoxel {

void run_each(const std::vector<std::string>& names, Report& report,
              const std::function<void(std::size_t, CaseReport&)>& work) {
  bool engine_failed = false;
  for (std::size_t i = 0; i < names.size() && !engine_failed; ++i) {
    stop_if_told();
    CaseReport one;
    one.name = names[i];
    try {
      work(i, one);
    } catch (const Stopped&) {
      throw;
    } catch (const EngineError& error) {
      one.fault = text(error.what(), "; no later ", report.unit, " is begun");
      engine_failed = true;
    } catch (const InputError& error) {
      one.fault = error.what();
      one.bad_input = true;
    } catch (const std::bad_alloc&) {
      one.fault = "there is not enough memory for it; take a machine with more";
    } catch (const std::exception& error) {
      one.fault = error.what();
    }
    if (!one.fault.empty() && names.size() > 1) {
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
  throw WorkError(text(failed.size(), " of ", report.cases.size(), " ", report.unit, "s failed (", some_of(failed),
                       "), the lines above say why; mend them and give the command again"));
}

}  // namespace mindvoxel
