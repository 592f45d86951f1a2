#include "classify.h"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <numeric>
#include <sstream>

#include "each.h"
#include "errors.h"
#include "files.h"
#include "image_names.h"
#include "photo.h"
#include "text.h"

namespace mindvoxel {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostRows = 5;  // of a photo

bool is_photo(const fs::path& path) {
  const std::string suffix = lower(path.extension().string());
  return suffix == ".jpg" || suffix == ".jpeg" || suffix == ".png";
}

/// Those in a folder and below; hidden files and folders are not looked at.
std::vector<PhotoFile> photos_below(const fs::path& folder) {
  std::vector<PhotoFile> photos;
  for (auto entry = fs::recursive_directory_iterator(folder); entry != fs::recursive_directory_iterator(); ++entry) {
    const fs::path& path = entry->path();
    if (path.filename().string()[0] == '.') {
      entry.disable_recursion_pending();
    } else if (std::error_code none; is_photo(path) && !entry->is_directory(none)) {  // a link to nothing is told later
      photos.push_back({path.lexically_relative(folder).generic_string(), path});
    }
  }
  std::sort(photos.begin(), photos.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  return photos;
}

}  // namespace

const char* const kPredictionsHeading = "photo,rank,class,probability\n";

std::vector<PhotoFile> find_photos(const fs::path& input) {
  std::vector<PhotoFile> photos;
  try {
    if (fs::is_directory(input)) {
      photos = photos_below(input);
      if (photos.empty()) {
        throw InputError(input.string() + ": no photo in this folder or below it; .jpg, .jpeg or .png is needed");
      }
    } else if (fs::exists(input)) {
      photos = {{input.filename().string(), input}};
    } else {
      throw InputError(input.string() + ": no such file or folder; name a photo, or a folder of photos");
    }
  } catch (const fs::filesystem_error& error) {
    throw InputError(text(input.string(), ": cannot be looked into (", error.code().message(), ")"));
  }
  return photos;
}

std::vector<Prediction> ranked(const std::vector<float>& logits) {
  if (!std::all_of(logits.begin(), logits.end(), [](float one) { return std::isfinite(one); })) {
    throw WorkError("the network's answer is not finite; compute in f32, or export another checkpoint");
  }
  std::vector<std::size_t> order(logits.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return logits[a] > logits[b]; });
  const double largest = logits[order[0]];
  double sum = 0;
  for (const float one : logits) sum += std::exp(one - largest);
  std::vector<Prediction> predictions;
  predictions.reserve(order.size());
  for (const std::size_t index : order) predictions.push_back({index, std::exp(logits[index] - largest) / sum});
  return predictions;
}

std::string csv_field(const std::string& word) {
  if (word.find_first_of(",\"\r\n") == std::string::npos) return word;
  std::string inside;
  for (const char c : word) inside += c == '"' ? std::string("\"\"") : std::string(1, c);
  return '"' + inside + '"';
}

std::string rows_of(const Bundle& bundle, const std::string& photo, const std::vector<Prediction>& predictions) {
  std::ostringstream rows;
  rows << std::fixed << std::setprecision(6);
  for (std::size_t i = 0; i < std::min(kMostRows, predictions.size()); ++i) {
    rows << csv_field(photo) << "," << i + 1 << "," << csv_field(bundle.label_names[predictions[i].index]) << ","
         << predictions[i].probability << "\n";
  }
  return rows.str();
}

std::vector<Prediction> classify(const Bundle& bundle, const fs::path& photo, Engine& engine, CaseReport& one,
                                 std::vector<double>& call_s) {
  Clock clock;
  const Photo read = read_photo(photo);
  one.seconds[kRead] = clock.lap();
  const std::vector<float> image = prepare_photo(read, bundle.preprocessing.photo);
  one.seconds[kPreprocess] = clock.lap();
  std::vector<float> logits(bundle.num_classes());
  TimedEngine(engine, call_s).run(image.data(), logits.data());
  one.calls = 1;
  one.seconds[kNetwork] = clock.lap();
  return ranked(logits);
}

void classify_photos(const Bundle& bundle, const std::vector<PhotoFile>& photos, const fs::path& table, Engine& engine,
                     Report& report) {
  std::vector<std::string> names;
  names.reserve(photos.size());
  for (const PhotoFile& photo : photos) names.push_back(photo.name);
  std::string rows;
  run_each(names, report, [&](std::size_t i, CaseReport& one) {
    rows += rows_of(bundle, names[i], classify(bundle, photos[i].path, engine, one, report.call_s));
  });
  if (rows.empty()) return;
  Clock clock;
  rows.insert(0, kPredictionsHeading);
  write_bytes(table, rows.data(), rows.size());
  report.cases.back().seconds[kWrite] = clock.lap();
}

}  // namespace mindvoxel
