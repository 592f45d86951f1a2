// The library of this project's CPU operators (src/mindvoxel/ops/csrc), which build.sh puts beside this program.
#pragma once

#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace mindvoxel {

/// Why the operators do not compute, as a part of a sentence.
class CpuOperatorsUnused : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Its functions, by their names in entry.cc and norm_entry.cc.
struct CpuLibrary {
  /// Tensors and their shapes as MindSpore hands them over, inputs first; 0, or why_it_failed() says why not.
  using Operator = int (*)(int count, void** data, int* ranks, std::int64_t** shapes, const char** types, void*, void*);

  Operator convolve, normalize;
  // What the next three set holds for every model of the process: only one may be in use.
  void (*set_threads)(int threads);
  int (*set_bf16)(int on);
  void (*keep_weights)(int on);  ///< weights at one address never change until the next call of this
  std::string isa;               ///< what the processor multiplies with: avx512, avx512_bf16 or amx
};

/// Throws CpuOperatorsUnused where it is not there, is of another version, or the processor lacks AVX-512.
CpuLibrary open_cpu_library(const std::filesystem::path& path);

/// That of this program, opened at the first call.
const CpuLibrary& cpu_library();

/// The message of this thread's last operator that failed.
const std::string& why_it_failed();

}  // namespace mindvoxel
