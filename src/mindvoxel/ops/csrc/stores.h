// When a result is to be written straight to memory: written through the caches, memory would first be read for it.
#pragma once

#include <cstdint>

namespace mindvoxel {

// Whether a tensor of so many floats is larger than most caches, and begins at a cache line, as such stores need.
inline bool GoesPastCaches(const float *data, int64_t floats) {
  constexpr int64_t kLarge = (int64_t{64} << 20) / static_cast<int64_t>(sizeof(float));
  return floats >= kLarge && reinterpret_cast<std::uintptr_t>(data) % 64 == 0;
}

}  // namespace mindvoxel
