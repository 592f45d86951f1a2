#include "bundle_checks.h"

#include <algorithm>
#include <initializer_list>
#include <set>

#include "errors.h"
#include "text.h"

namespace mindvoxel {
namespace {

// A tensor of more floats is no network's that a 310 or a CPU could hold.
constexpr std::int64_t kMostFloats = std::int64_t{1} << 33;
constexpr std::size_t kMostPixels = 1 << 14;  // of a resized photo's shorter side

/// Says of one file what is wrong with it.
class Check {
 public:
  explicit Check(std::string where) : where_(std::move(where)) {}

  void that(bool good, const std::string& otherwise) const {
    if (!good) throw InputError(where_ + ": " + otherwise + "; export the bundle again");
  }

  void one_of(const std::string& value, const std::string& key, std::initializer_list<const char*> known) const {
    const bool good = std::any_of(known.begin(), known.end(), [&](const char* word) { return value == word; });
    that(good, key + " must be one of " + in_brackets(known) + ", got " + value);
  }

 private:
  std::string where_;
};

template <typename T>
bool distinct(const std::vector<T>& values) {
  return std::set<T>(values.begin(), values.end()).size() == values.size();
}

void check_tensors(const Bundle& bundle, const Check& check, const std::vector<std::int64_t>& input,
                   const std::vector<std::int64_t>& output) {
  check.that(bundle.input_shape == input, "network.input_shape is " + in_brackets(bundle.input_shape) +
                                              ", and by channels and size " + in_brackets(input) + " is needed");
  check.that(bundle.output_shape == output, "network.output_shape is " + in_brackets(bundle.output_shape) +
                                                ", and by classes and size " + in_brackets(output) + " is needed");
}

void check_window(const Bundle& bundle, const Check& check) {
  const auto& window = bundle.sliding.window;
  check.that(window.size() == 2 || window.size() == 3, "sliding.window must have 2 or 3 axes");
  std::vector<std::int64_t> wanted_in{1, static_cast<std::int64_t>(bundle.channels.size())};
  std::vector<std::int64_t> wanted_out{1, static_cast<std::int64_t>(bundle.num_classes())};
  const std::int64_t most = std::max({wanted_in[1], wanted_out[1], std::int64_t{1}});
  std::int64_t floats = most;
  for (const std::size_t size : window) {
    const auto n = static_cast<std::int64_t>(std::min<std::size_t>(size, kMostFloats + 1));
    check.that(n >= 1 && n <= kMostFloats / floats, "sliding.window " + in_brackets(window) + " is no possible size");
    floats *= n;
    wanted_in.push_back(n);
    wanted_out.push_back(n);
  }
  check.that(!bundle.channels.empty(), "channels must name one at least");
  check_tensors(bundle, check, wanted_in, wanted_out);
}

/// All of a classifier's.
void check_photos(const Bundle& bundle, const Check& check) {
  const PhotoForm& form = bundle.preprocessing.photo;
  const std::vector<std::string> colours{"red", "green", "blue"};
  check.that(bundle.channels == colours, "channels of the way photo must be " + in_brackets(colours));
  check.that(form.size >= 1 && form.size <= form.short_side && form.short_side <= kMostPixels,
             text("preprocessing.size is ", form.size, " and short_side ", form.short_side,
                  ", and 1 <= size <= short_side <= ", kMostPixels, " is needed"));
  check.that(std::all_of(form.sd.begin(), form.sd.end(), [](float sd) { return sd > 0; }),
             "preprocessing.sd must be above 0");
  check.that(bundle.num_classes() >= 2, "classes must be two at least");
  check.that(distinct(bundle.label_names), "classes must have different names");
  for (std::size_t k = 0; k < bundle.num_classes(); ++k) {
    check.that(bundle.label_values[k] == static_cast<std::int64_t>(k), "classes must have the values 0, 1, 2 in order");
    check.that(bundle.label_names[k].find_first_of("\r\n") == std::string::npos, "a class's name must be one line");
  }
  const auto size = static_cast<std::int64_t>(form.size);
  check_tensors(bundle, check, {1, 3, size, size}, {1, static_cast<std::int64_t>(bundle.num_classes())});
}

void check_classes(const Bundle& bundle, const Check& check) {
  check.that(bundle.num_classes() >= 2, "classes must be two at least");
  check.that(distinct(bundle.label_values), "classes must have different values");
  for (const auto& group : bundle.postprocessing.keep_largest) {
    for (const std::int16_t value : group) {
      const auto& known = bundle.label_values;
      check.that(std::find(known.begin() + 1, known.end(), value) != known.end(),
                 "postprocessing.keep_largest holds " + std::to_string(value) + ", which is no foreground class");
    }
  }
  const int neighbours = bundle.postprocessing.neighbours;
  check.that(neighbours == 6 || neighbours == 26, "postprocessing.neighbours must be 6 or 26");
}

void check_preprocessing(const Bundle& bundle, const Check& check) {
  const Preprocessing& way = bundle.preprocessing;
  for (const double mm : way.spacing_mm) check.that(mm > 0, "preprocessing.spacing_mm must be above 0");
  if (bundle.default_spacing_mm) {
    for (const double mm : *bundle.default_spacing_mm) check.that(mm > 0, "default_spacing_mm must be above 0");
  }
  const std::size_t num = way.spacing_mm.size();
  if (way.way == "scan") {
    check.that(num == 3, "preprocessing.spacing_mm must have 3 values");
    check.that(num_voxels(way.min_shape) > 0, "preprocessing.min_shape must be above 0");
    check.one_of(way.image_interpolation, "preprocessing.image_interpolation", {"linear"});
    check.one_of(way.restore_order, "preprocessing.restore_order", {"linear", "nearest"});
    check.that(bundle.channels.size() == 1, "preprocessing of the way scan takes one channel");
    return;
  }
  check.that(num == 0 || num == bundle.sliding.window.size() || num == 3,
             "preprocessing.spacing_mm must have as many values as the window, or none");
  auto axes = way.axes;
  std::sort(axes.begin(), axes.end());
  check.that(axes == std::array<std::size_t, 3>{0, 1, 2}, "preprocessing.axes must be 0, 1, 2 in some order");
  check.one_of(way.crop, "preprocessing.crop", {"nonzero", "positive"});
  check.one_of(way.order, "preprocessing.order", {"normalize_resample", "resample_normalize"});
  check.one_of(way.rounding, "preprocessing.rounding", {"round", "floor"});
  check.one_of(way.anisotropy, "preprocessing.anisotropy", {"above_3", "from_3"});
  check.one_of(way.image_interpolation, "preprocessing.image_interpolation", {"cubic"});
  check.one_of(way.logits_interpolation, "preprocessing.logits_interpolation", {"linear"});
  check.that(way.normalization.size() == bundle.channels.size(),
             "preprocessing.normalization must have one entry for each channel");
  for (const Normalization& one : way.normalization) {
    check.one_of(one.scheme, "preprocessing.normalization", {"ct", "zscore", "zscore_mask", "rescale", "rgb", "none"});
  }
}

void check_sliding(const Bundle& bundle, const Check& check) {
  const Sliding& sliding = bundle.sliding;
  check.that(sliding.overlap >= 0 && sliding.overlap < 1, "sliding.overlap must be in [0, 1)");
  check.one_of(sliding.blend, "sliding.blend", {"gaussian", "nnunet", "nvidia", "constant"});
  check.one_of(sliding.average, "sliding.average", {"logits", "probabilities", "foreground"});
  const auto& axes = sliding.tta_axes;
  check.that(distinct(axes), "sliding.tta_axes must differ");
  check.that(std::all_of(axes.begin(), axes.end(), [&](std::size_t axis) { return axis < sliding.window.size(); }),
             "sliding.tta_axes must be axes of the window");
  if (sliding.average == "foreground") {
    check.that(bundle.num_classes() == 2 && sliding.window.size() == 3,
               "sliding.average foreground needs two classes and a window of 3 axes");
  }
  check.that((sliding.average == "foreground") == (bundle.preprocessing.way == "scan"),
             "sliding.average is foreground with preprocessing of the way scan, and with no other");
}

}  // namespace

void check_bundle(const Bundle& bundle, const std::string& where) {
  const Check check(where);
  if (bundle.classifies()) return check_photos(bundle, check);
  check_window(bundle, check);
  check_classes(bundle, check);
  check_preprocessing(bundle, check);
  check_sliding(bundle, check);
}

}  // namespace mindvoxel
