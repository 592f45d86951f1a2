// Photos to the classes that they likely show, one after the other, by a network that stays loaded.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "bundle.h"
#include "engine.h"
#include "report.h"

namespace mindvoxel {

/// A photo, and what predictions.csv calls it: its path below --input.
struct PhotoFile {
  std::string name;
  std::filesystem::path path;
};

/// A class that a photo may show.
struct Prediction {
  std::size_t index;  ///< of the class
  double probability;
};

/// A photo, or all JPEG and PNG files of a folder and of those in it, by path; none has been read.  Throws InputError
/// where there is none.
std::vector<PhotoFile> find_photos(const std::filesystem::path& input);

/// All classes, the likeliest first; of equals the first class.  Throws WorkError where a logit is not finite.
std::vector<Prediction> ranked(const std::vector<float>& logits);

/// The first line of predictions.csv.
extern const char* const kPredictionsHeading;

/// Lines of predictions.csv: the first five of `predictions`, best first, or all of fewer.
std::string rows_of(const Bundle& bundle, const std::string& photo, const std::vector<Prediction>& predictions);

/// A word as a field of a CSV file: in quotes where it needs them.
std::string csv_field(const std::string& word);

/// What the network says of a photo, as ranked.  one: gets its times; call_s: that of the call of the network, too.
std::vector<Prediction> classify(const Bundle& bundle, const std::filesystem::path& photo, Engine& engine,
                                 CaseReport& one, std::vector<double>& call_s);

/// Classify all, as run_each does, and write those that were done to the file `table`.
void classify_photos(const Bundle& bundle, const std::vector<PhotoFile>& photos, const std::filesystem::path& table,
                     Engine& engine, Report& report);

}  // namespace mindvoxel
