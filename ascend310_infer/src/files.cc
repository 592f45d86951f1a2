#include "files.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>

#include "errors.h"

namespace mindvoxel {
namespace {

namespace fs = std::filesystem;

}  // namespace

void write_bytes(const fs::path& path, const void* bytes, std::size_t count) {
  const fs::path partial =
      path.parent_path() / ("." + path.filename().string() + ".partial" + std::to_string(getpid()));
  errno = 0;
  std::ofstream file(partial, std::ios::binary | std::ios::trunc);
  file.write(static_cast<const char*>(bytes), static_cast<std::streamsize>(count));
  file.close();
  std::error_code fault;
  std::string reason = file ? "" : std::strerror(errno ? errno : EIO);
  if (reason.empty()) {
    fs::rename(partial, path, fault);
    if (fault) reason = fault.message();
  }
  if (!reason.empty()) {
    fs::remove(partial, fault);
    throw WorkError(path.string() + " cannot be written (" + reason + "); choose another folder, or free it");
  }
}

void make_folder(const fs::path& folder) {
  std::error_code fault;
  fs::create_directories(folder, fault);
  if (fault || !fs::is_directory(folder, fault)) {
    throw InputError(folder.string() + " cannot be made (" + (fault ? fault.message() : "it is a file") +
                     "); choose another folder");
  }
  const fs::path probe = folder / (".infer-" + std::to_string(getpid()));
  try {
    write_bytes(probe, "", 0);
  } catch (const WorkError&) {
    throw InputError(folder.string() + " cannot be written to; choose another folder");
  }
  fs::remove(probe, fault);
}

}  // namespace mindvoxel
