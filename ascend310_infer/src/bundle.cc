#include "bundle.h"

#include <algorithm>
#include <fstream>

#include "bundle_checks.h"
#include "checksum.h"
#include "errors.h"
#include "json_fields.h"

namespace mindvoxel {
namespace {

namespace fs = std::filesystem;
constexpr int kVersion = 1, kMostDepth = 32;

nlohmann::json parse(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw InputError(path.string() + ": no such file; name a folder that export.py made as BUNDLE");
  const auto shallow = [&](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
    if (depth > kMostDepth) throw std::runtime_error("it is nested too deeply");
    return true;
  };
  try {
    return nlohmann::json::parse(file, shallow);
  } catch (const std::exception& error) {  // not nlohmann's alone: a folder of that name fails in the stream
    throw InputError(path.string() + " is no JSON (" + error.what() + "); copy the bundle again");
  }
}

void check_file(const Bundle& bundle, const std::string& name, const Fields& expected) {
  const fs::path relative(name), path = bundle.folder / relative;
  if (relative.is_absolute() || std::count(relative.begin(), relative.end(), "..") > 0) {
    throw InputError(expected.place("") + " lies outside the bundle; export it again");
  }
  const auto bytes = expected.get<std::uintmax_t>("bytes");
  const auto sha256 = expected.get<std::string>("sha256");
  std::error_code fault;
  if (!fs::is_regular_file(path, fault)) {
    throw InputError(path.string() + ": no such file, although deploy.json names it; copy the bundle again");
  }
  const std::uintmax_t found = fs::file_size(path);
  if (found != bytes) {
    throw InputError(path.string() + " has " + std::to_string(found) + " bytes, and by deploy.json " +
                     std::to_string(bytes) + "; copy the bundle again");
  }
  if (sha256_of(path) != sha256) {
    throw InputError(path.string() + " is not as it was exported, its SHA-256 differs; copy the bundle again");
  }
}

void check_files(const Bundle& bundle, const Fields& files) {
  for (const fs::path& needed : {bundle.mindir(), bundle.onnx(), bundle.reference_image(), bundle.reference_answer()}) {
    const std::string name = needed.lexically_relative(bundle.folder).generic_string();
    if (!files.has(name)) throw InputError(files.place(name) + " is missing; export the bundle again");
  }
  for (const std::string& name : files.names()) check_file(bundle, name, files.object(name));
}

void read_planned(const Fields& fields, Preprocessing& way) {
  way.axes = fields.get<std::array<std::size_t, 3>>("axes");
  way.crop = fields.get<std::string>("crop");
  way.order = fields.get<std::string>("order");
  for (const Fields& channel : fields.objects("normalization")) {
    Normalization one;
    one.scheme = channel.get<std::string>("scheme");
    if (one.scheme == "ct") {
      one.low = channel.get<float>("low");
      one.high = channel.get<float>("high");
      one.mean = channel.get<float>("mean");
      one.sd = channel.get<float>("sd");
    }
    way.normalization.push_back(one);
  }
  way.rounding = fields.get<std::string>("rounding");
  way.anisotropy = fields.get<std::string>("anisotropy");
  way.logits_interpolation = fields.get<std::string>("logits_interpolation");
}

PhotoForm read_photo_form(const Fields& fields) {
  PhotoForm form;
  form.short_side = fields.get<std::size_t>("short_side");
  form.size = fields.get<std::size_t>("size");
  form.mean = fields.get<std::array<float, 3>>("mean");
  form.sd = fields.get<std::array<float, 3>>("sd");
  return form;
}

Preprocessing read_preprocessing(const Fields& fields) {
  Preprocessing way;
  way.way = fields.get<std::string>("way");
  if (way.way == "photo") {
    way.photo = read_photo_form(fields);
    return way;
  }
  if (way.way == "planned") {
    read_planned(fields, way);
  } else if (way.way == "scan") {
    way.min_shape = fields.get<Shape>("min_shape");
    way.centre_crop = fields.get<bool>("centre_crop");
    way.restore_order = fields.get<std::string>("restore_order");
  } else {
    throw InputError(fields.place("way") + " must be planned, scan or photo, got " + way.way +
                     "; take the newest program");
  }
  way.image_interpolation = fields.get<std::string>("image_interpolation");
  if (fields.has("spacing_mm")) way.spacing_mm = fields.get<std::vector<double>>("spacing_mm");
  return way;
}

Sliding read_sliding(const Fields& fields) {
  Sliding sliding;
  sliding.window = fields.get<std::vector<std::size_t>>("window");
  sliding.overlap = fields.get<double>("overlap");
  sliding.spread = fields.get<bool>("spread");
  sliding.blend = fields.get<std::string>("blend");
  sliding.average = fields.get<std::string>("average");
  sliding.pad_value = fields.get<float>("pad_value");
  sliding.tta_axes = fields.get<std::vector<std::size_t>>("tta_axes");
  sliding.validated_with_tta = fields.get<bool>("validated_with_tta");
  return sliding;
}

void read_network(const Fields& fields, Bundle& bundle) {
  bundle.input_name = fields.get<std::string>("input");
  bundle.output_name = fields.get<std::string>("output");
  bundle.input_shape = fields.get<std::vector<std::int64_t>>("input_shape");
  bundle.output_shape = fields.get<std::vector<std::int64_t>>("output_shape");
}

Bundle read_fields(const fs::path& folder, const Fields& root) {
  const int version = root.get<int>("version");
  if (version != kVersion) {
    throw InputError(root.place("version") + " is " + std::to_string(version) + ", and this program reads " +
                     std::to_string(kVersion) + "; build the program that belongs to the bundle");
  }
  Bundle bundle;
  bundle.folder = folder;
  bundle.model = root.get<std::string>("model");
  bundle.channels = root.get<std::vector<std::string>>("channels");
  for (const Fields& one : root.objects("classes")) {
    bundle.label_values.push_back(one.get<std::int16_t>("value"));
    bundle.label_names.push_back(one.get<std::string>("name"));
  }
  read_network(root.object("network"), bundle);
  if (root.has("default_spacing_mm")) bundle.default_spacing_mm = root.get<Spacing>("default_spacing_mm");
  bundle.preprocessing = read_preprocessing(root.object("preprocessing"));
  if (bundle.classifies()) return bundle;
  bundle.sliding = read_sliding(root.object("sliding"));
  const Fields after = root.object("postprocessing");
  bundle.postprocessing.keep_largest = after.get<std::vector<std::vector<std::int16_t>>>("keep_largest");
  bundle.postprocessing.neighbours = after.get<int>("neighbours");
  return bundle;
}

}  // namespace

Shape Sliding::box() const {
  return window.size() == 2 ? Shape{1, window[0], window[1]} : Shape{window[0], window[1], window[2]};
}

Bundle read_bundle(const fs::path& folder) {
  const fs::path path = folder / "deploy.json";
  const nlohmann::json root = parse(path);
  const Fields fields(root, path.string());
  Bundle bundle = read_fields(folder, fields);
  check_bundle(bundle, path.string());
  check_files(bundle, fields.object("files"));
  return bundle;
}

}  // namespace mindvoxel
