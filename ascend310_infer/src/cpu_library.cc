#include "cpu_library.h"

#include <dlfcn.h>

#include <cstdlib>

namespace mindvoxel {
namespace {

namespace fs = std::filesystem;

constexpr int kInterface = 5;  // mindvoxel_interface() of entry.cc
constexpr const char* kAnew = "; run build.sh again";

thread_local std::string reason;  // the library tells it in the failing thread

void note_reason(const char* message) { reason = message; }

template <typename Function>
Function find(void* library, const fs::path& path, const char* name) {
  void* found = dlsym(library, name);
  if (found == nullptr) throw CpuOperatorsUnused(path.string() + " is of another version" + kAnew);
  return reinterpret_cast<Function>(found);
}

}  // namespace

CpuLibrary open_cpu_library(const fs::path& path) {
  if (!fs::exists(path)) throw CpuOperatorsUnused(path.filename().string() + " is not beside this program");
  // Threads that wait for each other sleep: OpenVINO's want the cores, too.  Read when OpenMP is loaded, with this
  // library: nothing else here uses it.
  setenv("OMP_WAIT_POLICY", "PASSIVE", 0);
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);  // never closed: OpenMP's threads live in it
  if (library == nullptr) throw CpuOperatorsUnused(std::string(dlerror()) + kAnew);
  const auto ask = [&](const char* name) { return find<int (*)()>(library, path, name)(); };
  if (ask("mindvoxel_interface") != kInterface) {
    throw CpuOperatorsUnused(path.string() + " is of another version" + kAnew);
  }
  if (ask("mindvoxel_usable") == 0) throw CpuOperatorsUnused("another copy of oneDNN answers in the place of theirs");
  if (ask("mindvoxel_has_norm") == 0) throw CpuOperatorsUnused("the processor lacks AVX-512");
  CpuLibrary found{};
  found.convolve = find<CpuLibrary::Operator>(library, path, "ConvForward");
  found.normalize = find<CpuLibrary::Operator>(library, path, "NormForward");
  found.set_threads = find<decltype(found.set_threads)>(library, path, "mindvoxel_set_threads");
  found.set_bf16 = find<decltype(found.set_bf16)>(library, path, "mindvoxel_set_bf16");
  found.keep_weights = find<decltype(found.keep_weights)>(library, path, "mindvoxel_keep_weights");
  find<void (*)(void (*)(const char*))>(library, path, "mindvoxel_tell")(note_reason);
  found.isa = find<const char* (*)()>(library, path, "mindvoxel_isa")();
  return found;
}

const CpuLibrary& cpu_library() {
  static const CpuLibrary library =
      open_cpu_library(fs::read_symlink("/proc/self/exe").parent_path() / "libmindvoxel_conv.so");
  return library;
}

const std::string& why_it_failed() { return reason; }

}  // namespace mindvoxel
