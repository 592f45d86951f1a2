// What was done, how long each stage took, and how much memory: as a table and as JSON.
#pragma once

#include <array>
#include <cstddef>
#include <filesystem>
#include <iosfwd>
#include <string>
#include <vector>

#include "engine.h"

namespace mindvoxel {

/// The stages of a case, in their order.
enum Stage : std::size_t { kRead, kPreprocess, kNetwork, kWayBack, kPostprocess, kWrite, kNumStages };

/// Names of the stages, as report.json has them with _s behind.
inline constexpr std::array<const char*, kNumStages> kStageNames{"read",     "preprocess",  "network",
                                                                 "way_back", "postprocess", "write"};

using StageSeconds = std::array<double, kNumStages>;

struct CaseReport {
  std::string name;
  StageSeconds seconds{};  ///< way_back: blending, the way to the scan's grid and argmax
  std::size_t calls = 0;   ///< of the network
  std::string fault;       ///< empty: it was done
  bool bad_input = false;  ///< the fault is one of its files
};

struct Report {
  std::string bundle, engine;
  std::string unit = "case", call = "window";  ///< in words: what is worked on, and what the network takes at once
  bool tta = false;
  std::size_t threads = 1;
  double load_s = 0, total_s = 0, peak_memory_mb = 0;
  std::vector<double> call_s;  ///< of each call of the network, in order
  std::vector<CaseReport> cases;
};

/// Seconds since a moment.
class Clock {
 public:
  Clock();
  /// Since it was made, or was last asked.
  double lap();

 private:
  double last_s_;
};

/// An engine that notes how long each call takes.
class TimedEngine : public Engine {
 public:
  /// Both must outlive this.
  TimedEngine(Engine& engine, std::vector<double>& call_s) : engine_(engine), call_s_(call_s) {}
  void run(const float* window, float* logits) override;
  std::string describe() const override { return engine_.describe(); }

 private:
  Engine& engine_;
  std::vector<double>& call_s_;
};

/// A line for each case, of many only for the first and those that failed; their sum, and what it took.
void print_table(const Report& report, std::ostream& out);

/// Written beside its place first, then renamed.  Throws WorkError where it cannot be.
void write_report(const Report& report, const std::filesystem::path& path);

}  // namespace mindvoxel
