// Kernels by what they compute, and by the address of their weights where they keep what they made of these
// (Case::keeps_weights). Building one takes milliseconds (code is generated), using one again none.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "convolution.h"

namespace mindvoxel {

using Key = std::vector<int64_t>;

inline Key MakeKey(const Case &c) {
  Key key{c.transposed,  c.has_bias,
          c.src_blocked, c.dst_blocked,
          c.src_first,   static_cast<int64_t>(c.precision),
          static_cast<int64_t>(c.src.size())};
  for (const Dims *dims : {&c.src, &c.weights, &c.dst, &c.window.strides, &c.window.pad_begin, &c.window.pad_end}) {
    key.insert(key.end(), dims->begin(), dims->end());
  }
  return key;
}

template <class Kernel>
class Cache {
 public:
  template <class Make>
  Kernel &Find(const Key &key, Make make) {
    auto found = kernels_.find(key);
    if (found == kernels_.end()) {
      if (kernels_.size() >= kMost) kernels_.clear();  // more than a network has: its shapes keep changing
      found = kernels_.emplace(key, make()).first;
    }
    return *found->second;
  }
  void Clear() { kernels_.clear(); }

 private:
  static constexpr std::size_t kMost = 512;
  std::map<Key, std::unique_ptr<Kernel>> kernels_;
};

}  // namespace mindvoxel
