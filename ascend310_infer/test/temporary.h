// A folder that a test may fill, and that goes with it.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>

namespace mindvoxel {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "mindvoxel-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path = name;
  }
  ~TemporaryFolder() {
    std::error_code fault;
    std::filesystem::remove_all(path, fault);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::filesystem::path path;
};

inline void write_text(const std::filesystem::path& path, const std::string& words) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << words;
}

inline std::string read_text(const std::filesystem::path& path) {
  std::ostringstream words;
  words << std::ifstream(path, std::ios::binary).rdbuf();
  return words.str();
}

}  // namespace mindvoxel
