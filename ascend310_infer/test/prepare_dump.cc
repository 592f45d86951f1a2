// For tests in Python: prepare_dump BUNDLE OUT FILE... writes OUT.bin, the preprocessed image as raw float32 (C, D, H,
// W), and OUT.json, its grid.  With - as BUNDLE the files are read alone: the scan as it is.  restore_dump BUNDLE, see
// below, is the way back of V-Net's: with RESTORE=1 in the environment OUT.bin is the preprocessed image itself on the
// grid of the scan.
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "bundle.h"
#include "errors.h"
#include "preprocess.h"
#include "volume.h"

namespace {

using mindvoxel::Bundle;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void write(const std::string& out, const std::vector<float>& voxels, const nlohmann::json& grid) {
  std::ofstream(out + ".json") << grid.dump(1);
  std::ofstream raw(out + ".bin", std::ios::binary);
  raw.write(reinterpret_cast<const char*>(voxels.data()), static_cast<std::streamsize>(voxels.size() * sizeof(float)));
  if (!raw) throw mindvoxel::WorkError(out + ".bin: cannot be written");
}

void dump(const std::string& folder, const std::string& out, const std::vector<std::filesystem::path>& files) {
  std::optional<Bundle> bundle;
  if (folder != "-") bundle = mindvoxel::read_bundle(folder);
  auto start = std::chrono::steady_clock::now();
  mindvoxel::Scan scan = mindvoxel::read_scan(files, bundle ? bundle->default_spacing_mm : std::nullopt);
  nlohmann::json grid{{"shape", scan.image.shape},
                      {"channels", scan.image.channels},
                      {"spacing_mm", scan.geometry.spacing_mm},
                      {"origin_mm", scan.geometry.origin_mm},
                      {"direction", scan.geometry.direction},
                      {"seconds", {{"read", seconds_since(start)}}}};
  if (!bundle) return write(out, scan.image.voxels, grid);
  start = std::chrono::steady_clock::now();
  const std::size_t threads = 2;
  mindvoxel::Prepared prepared = mindvoxel::preprocess(*bundle, std::move(scan), threads);
  grid["seconds"]["preprocess"] = seconds_since(start);
  grid["shape"] = prepared.image.shape;
  grid["spacing_mm"] = prepared.grid.spacing_mm;
  grid["crop_start"] = prepared.grid.crop_start;
  grid["crop_shape"] = prepared.grid.crop_shape;
  if (std::getenv("RESTORE") == nullptr) return write(out, prepared.image.voxels, grid);
  const auto& order = bundle->preprocessing.restore_order;
  write(out, mindvoxel::restore_scan(prepared.image.voxels, prepared.grid, order), grid);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc < 4) throw mindvoxel::InputError("usage: prepare_dump BUNDLE|- OUT FILE...");
    dump(argv[1], argv[2], {argv + 3, argv + argc});
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << "\n";
    return 2;
  }
}
