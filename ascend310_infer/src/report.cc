#include "report.h"

#include <algorithm>
#include <chrono>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <ostream>

#include "files.h"

namespace mindvoxel {
namespace {

constexpr std::size_t kMostRows = 50;  // all stand in report.json

double now_s() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

double sum(const StageSeconds& seconds) {
  double total = 0;
  for (const double one : seconds) total += one;
  return total;
}

/// All cases as one.
CaseReport total_of(const std::vector<CaseReport>& cases) {
  CaseReport total;
  total.name = "all";
  for (const CaseReport& one : cases) {
    for (std::size_t stage = 0; stage < kNumStages; ++stage) total.seconds[stage] += one.seconds[stage];
    total.calls += one.calls;
  }
  return total;
}

/// 0 of no values.
double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 ? values[half] : (values[half - 1] + values[half]) / 2;
}

double calls_per_s(const CaseReport& total) {
  return total.seconds[kNetwork] > 0 ? static_cast<double>(total.calls) / total.seconds[kNetwork] : 0;
}

nlohmann::ordered_json stages_of(const StageSeconds& seconds) {
  nlohmann::ordered_json found;
  for (std::size_t stage = 0; stage < kNumStages; ++stage) {
    found[std::string(kStageNames[stage]) + "_s"] = seconds[stage];
  }
  return found;
}

void print_row(std::ostream& out, const CaseReport& one, int name_width) {
  out << std::left << std::setw(name_width) << one.name << std::right << std::fixed << std::setprecision(3);
  for (const double seconds : one.seconds) out << std::setw(15) << seconds;
  out << std::setw(15) << sum(one.seconds) << std::setw(9) << one.calls << (one.fault.empty() ? "" : "  failed")
      << "\n";
}

}  // namespace

Clock::Clock() : last_s_(now_s()) {}

double Clock::lap() {
  const double before = last_s_;
  last_s_ = now_s();
  return last_s_ - before;
}

void TimedEngine::run(const float* window, float* logits) {
  Clock clock;
  engine_.run(window, logits);
  call_s_.push_back(clock.lap());
}

void print_table(const Report& report, std::ostream& out) {
  std::size_t longest = report.unit.size();
  for (const CaseReport& one : report.cases) longest = std::max(longest, one.name.size());
  const int name_width = static_cast<int>(longest) + 2;
  out << report.engine << "\n" << std::left << std::setw(name_width) << report.unit << std::right;
  for (const char* name : kStageNames) out << std::setw(15) << std::string(name) + " s";
  out << std::setw(15) << "all s" << std::setw(9) << "calls"
      << "\n";
  std::size_t hidden = 0;
  for (std::size_t i = 0; i < report.cases.size(); ++i) {
    if (i < kMostRows || !report.cases[i].fault.empty()) {
      print_row(out, report.cases[i], name_width);
    } else {
      ++hidden;
    }
  }
  if (hidden > 0) out << "and " << hidden << " more without a fault, each in report.json\n";
  const CaseReport total = total_of(report.cases);
  if (report.cases.size() > 1) print_row(out, total, name_width);
  out << std::fixed << std::setprecision(2) << "load " << report.load_s << " s, in all " << report.total_s << " s; "
      << calls_per_s(total) << " " << report.call << "s a second, " << std::setprecision(1)
      << 1000 * median(report.call_s) << " ms each (median); peak memory " << std::setprecision(0)
      << report.peak_memory_mb << " MB\n";
}

void write_report(const Report& report, const std::filesystem::path& path) {
  const CaseReport total = total_of(report.cases);
  nlohmann::ordered_json root{{"bundle", report.bundle},   {"engine", report.engine}, {"tta", report.tta},
                              {"threads", report.threads}, {"load_s", report.load_s}, {"total_s", report.total_s}};
  root["stages"] = stages_of(total.seconds);
  root["windows"] = {{"calls", total.calls},
                     {"per_s", calls_per_s(total)},
                     {"median_ms", 1000 * median(report.call_s)},
                     {"call_s", report.call_s}};
  root["peak_memory_mb"] = report.peak_memory_mb;
  root["cases"] = nlohmann::ordered_json::array();
  for (const CaseReport& one : report.cases) {
    nlohmann::ordered_json entry{{"case", one.name}, {"done", one.fault.empty()}};
    if (!one.fault.empty()) entry["fault"] = one.fault;
    entry["calls"] = one.calls;
    entry.update(stages_of(one.seconds));
    root["cases"].push_back(entry);
  }
  const std::string words = root.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  write_bytes(path, words.data(), words.size());
}

}  // namespace mindvoxel
