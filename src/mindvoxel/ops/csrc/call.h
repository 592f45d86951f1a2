// What every operator begins and ends with, as MindSpore calls it (ops.Custom, func_type="aot").
#pragma once

#include <omp.h>

#include <cstdio>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <string>

#include "onednn.h"

#define MINDVOXEL_API extern "C" __attribute__((visibility("default")))

namespace mindvoxel {

inline std::mutex mutex;  // one call at a time: each uses every core, and the arena is shared

// oneDNN asks OpenMP for the thread count of the calling thread: set ours, then put back the caller's.
class Threads {
 public:
  Threads() : before_(omp_get_max_threads()) { omp_set_num_threads(NumThreads()); }
  ~Threads() { omp_set_num_threads(before_); }
  Threads(const Threads &) = delete;
  Threads &operator=(const Threads &) = delete;

 private:
  int before_;
};

// What MindSpore hands to an AOT operator: inputs, then outputs.
struct Tensors {
  int count;
  void **data;
  int *ranks;
  int64_t **shapes;
  const char **types;

  Dims Shape(int i) const { return Dims(shapes[i], shapes[i] + ranks[i]); }
  const float *In(int i) const { return static_cast<const float *>(data[i]); }
  float *Out(int i) const { return static_cast<float *>(data[i]); }
};

inline void Require(bool condition, const char *what) {
  if (!condition) throw std::invalid_argument(what);
}

// Where the message of a failed call goes.
using Tell = void (*)(const char *message);
inline Tell tell = [](const char *message) { std::fprintf(stderr, "mindvoxel: %s\n", message); };

// No exception may cross into the caller: a message and a status, which the caller turns into an error of its own.
template <class Work>
int Guarded(const char *name, Work work) {
  try {
    const std::lock_guard<std::mutex> lock(mutex);
    const Threads threads;
    work();
    Stream().wait();
    return 0;
  } catch (const std::exception &error) {
    tell((std::string(name) + ": " + error.what()).c_str());
  } catch (...) {
    tell((std::string(name) + ": unknown error").c_str());
  }
  return 1;
}

}  // namespace mindvoxel
