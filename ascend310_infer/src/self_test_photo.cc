#include <algorithm>
#include <cmath>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <sstream>

#include "classify.h"
#include "errors.h"
#include "self_test.h"
#include "text.h"

namespace mindvoxel {
namespace {

constexpr double kMostApart = 0.05;

/// The classes that the bundle names for its reference photo, best first.
std::vector<Prediction> read_predictions(const Bundle& bundle) {
  const std::filesystem::path path = bundle.reference_answer();
  std::size_t number = 1;
  const auto require = [&](bool good) {
    if (good) return;
    throw InputError(text(path.string(), ": line ", number, " is not as export.py writes it; export the bundle again"));
  };
  std::ifstream file(path, std::ios::binary);
  std::string line;
  std::getline(file, line);
  require(line + "\n" == kPredictionsHeading);
  std::vector<Prediction> predictions;
  while (std::getline(file, line)) {
    ++number;
    const std::string start = text("image.png,", predictions.size() + 1, ",");
    const std::size_t comma = line.rfind(',');
    require(line.compare(0, start.size(), start) == 0 && comma >= start.size());
    const std::string name = line.substr(start.size(), comma - start.size());
    const auto& names = bundle.label_names;
    const auto found =
        std::find_if(names.begin(), names.end(), [&](const auto& one) { return csv_field(one) == name; });
    double probability = 0;
    std::istringstream digits(line.substr(comma + 1));
    require(found != names.end() && (digits >> probability) && digits.eof());
    predictions.push_back({static_cast<std::size_t>(found - names.begin()), probability});
  }
  require(!predictions.empty());
  return predictions;
}

}  // namespace

double most_apart(const std::vector<Prediction>& found, const std::vector<Prediction>& expected) {
  double most = 0;
  for (const Prediction& one : expected) {
    const auto same =
        std::find_if(found.begin(), found.end(), [&](const auto& other) { return other.index == one.index; });
    most = std::max(most, std::abs(same->probability - one.probability));
  }
  return most;
}

void self_test_photo(const Bundle& bundle, Engine& engine, const Options&, Report& report) {
  const std::vector<Prediction> expected = read_predictions(bundle);
  report.unit = report.call = "photo";
  CaseReport one;
  one.name = "reference";
  const std::vector<Prediction> found = classify(bundle, bundle.reference_image(), engine, one, report.call_s);
  report.cases.push_back(std::move(one));
  const double apart = most_apart(found, expected);
  const auto name = [&](const Prediction& best) { return bundle.label_names[best.index]; };
  const std::string line =
      text("the class of the reference photo is ", name(found[0]), ", that of the bundle ", name(expected[0]),
           ", and probabilities differ by up to ", std::fixed, std::setprecision(6), apart);
  if (found[0].index != expected[0].index || apart > kMostApart) {
    throw WorkError(text("self-test failed: ", line, ", where one class and at most ", kMostApart,
                         " are needed; do not use this bundle with ", engine.describe()));
  }
  std::cout << "self-test passed: " << line << "; " << engine.describe() << "\n";
}

}  // namespace mindvoxel
