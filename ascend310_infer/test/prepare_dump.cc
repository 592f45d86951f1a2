// For tests in Python.
//
// prepare_dump read OUT FILE...             OUT.bin: the scan, raw float32 (C, D, H, W); OUT.json: its grid
// prepare_dump prepare OUT FILE... BUNDLE   the preprocessed image, and its grid
// prepare_dump restore OUT FILE... BUNDLE   V-Net's preprocessed image, back on the grid of the scan
// prepare_dump photo OUT PHOTO [BUNDLE]     OUT.bin: the photo, or with a bundle (3, size, size); OUT.json: (H, W, 3)
// prepare_dump labels OUT FILE              OUT: the file's values as labels
#include <chrono>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "bundle.h"
#include "errors.h"
#include "photo.h"
#include "preprocess.h"
#include "volume.h"

namespace {

using mindvoxel::Bundle;
constexpr std::size_t kThreads = 2;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void write(const std::string& out, const std::vector<float>& voxels, const nlohmann::json& grid) {
  std::ofstream(out + ".json") << grid.dump(1);
  std::ofstream raw(out + ".bin", std::ios::binary);
  raw.write(reinterpret_cast<const char*>(voxels.data()), static_cast<std::streamsize>(voxels.size() * sizeof(float)));
  if (!raw) throw mindvoxel::WorkError(out + ".bin: cannot be written");
}

nlohmann::json geometry_of(const mindvoxel::Scan& scan) {
  return {{"shape", scan.image.shape},
          {"channels", scan.image.channels},
          {"spacing_mm", scan.geometry.spacing_mm},
          {"origin_mm", scan.geometry.origin_mm},
          {"direction", scan.geometry.direction}};
}

void prepare(const std::string& folder, const std::string& out, const std::vector<std::filesystem::path>& files,
             bool restore) {
  const Bundle bundle = mindvoxel::read_bundle(folder);
  auto start = std::chrono::steady_clock::now();
  mindvoxel::Scan scan = mindvoxel::read_scan(files, bundle.default_spacing_mm);
  nlohmann::json grid = geometry_of(scan);
  grid["seconds"]["read"] = seconds_since(start);
  start = std::chrono::steady_clock::now();
  const mindvoxel::Prepared prepared = mindvoxel::preprocess(bundle, std::move(scan), kThreads);
  grid["seconds"]["preprocess"] = seconds_since(start);
  grid["shape"] = prepared.image.shape;
  grid["spacing_mm"] = prepared.grid.spacing_mm;
  grid["crop_start"] = prepared.grid.crop_start;
  grid["crop_shape"] = prepared.grid.crop_shape;
  const auto& voxels = prepared.image.voxels;
  if (!restore) return write(out, voxels, grid);
  write(out, mindvoxel::restore_scan(voxels, prepared.grid, bundle.preprocessing.restore_order, kThreads), grid);
}

void dump_photo(const std::string& out, const std::vector<std::filesystem::path>& arguments) {
  const mindvoxel::Photo photo = mindvoxel::read_photo(arguments.front());
  const nlohmann::json shape{{"shape", {photo.height, photo.width, 3}}};
  if (arguments.size() == 1) return write(out, {photo.pixels.begin(), photo.pixels.end()}, shape);
  write(out, mindvoxel::prepare_photo(photo, mindvoxel::read_bundle(arguments[1]).preprocessing.photo), shape);
}

void dump(const std::string& mode, const std::string& out, std::vector<std::filesystem::path> arguments) {
  if (mode == "prepare" || mode == "restore") {
    const std::string folder = arguments.back();
    arguments.pop_back();
    return prepare(folder, out, arguments, mode == "restore");
  }
  if (mode == "photo") return dump_photo(out, arguments);
  const mindvoxel::Scan scan = mindvoxel::read_scan(arguments, std::nullopt);
  if (mode == "read") return write(out, scan.image.voxels, geometry_of(scan));
  mindvoxel::Labels labels{{}, scan.image.shape, scan.geometry, true};
  for (const float value : scan.image.voxels) {
    labels.voxels.push_back(static_cast<std::int16_t>(value));
    labels.fit_uint8 = labels.fit_uint8 && value >= 0 && value < 256;
  }
  mindvoxel::write_labels(out, labels);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc < 4) throw mindvoxel::InputError("usage: prepare_dump MODE OUT FILE... [BUNDLE]");
    dump(argv[1], argv[2], {argv + 3, argv + argc});
    return 0;
  } catch (const mindvoxel::InputError& error) {
    std::cerr << "error: " << error.what() << "\n";
    return 2;
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << "\n";
    return 1;
  }
}
