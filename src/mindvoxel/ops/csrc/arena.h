// Working memory that all calls share, and memory that one kernel keeps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "onednn.h"

namespace mindvoxel {

// Memory from the system, in huge pages where it is large: fewer page faults and TLB misses.
struct FreeBlock {
  void operator()(char *block) const;
};
using BlockPointer = std::unique_ptr<char, FreeBlock>;
BlockPointer NewBlock(std::size_t bytes);

// A tensor in memory of its own.
class Kept {
 public:
  explicit Kept(const Desc &desc) : block_(NewBlock(desc.get_size())), memory_(desc, Engine(), block_.get()) {}
  const memory &get() const { return memory_; }

 private:
  BlockPointer block_;
  memory memory_;
};

// A stack, kept between calls, as large as the largest call so far.
class Arena {
 public:
  // What is taken inside a scope is given back, not freed, when the scope ends. Scopes nest.
  class Scope {
   public:
    Scope();
    ~Scope();
    Scope(const Scope &) = delete;
    Scope &operator=(const Scope &) = delete;

   private:
    std::size_t block_, used_, total_;
  };

  static Arena &Get();
  void *Take(std::size_t bytes);
  memory Take(const Desc &desc) { return memory(desc, Engine(), Take(desc.get_size())); }
  void Release();  // frees everything; only between calls
  std::size_t Bytes() const;

 private:
  struct Block {
    BlockPointer data;
    std::size_t size;
  };

  void AddBlock(std::size_t size);
  void Merge();

  std::vector<Block> blocks_;
  std::size_t block_ = 0;  // the block that is being filled
  std::size_t used_ = 0;   // bytes taken of it
  std::size_t total_ = 0;  // bytes taken of all blocks
  std::size_t peak_ = 0;   // the largest total so far
  int depth_ = 0;
};

inline float *TakeFloats(int64_t count) {
  return static_cast<float *>(Arena::Get().Take(static_cast<std::size_t>(count) * sizeof(float)));
}

}  // namespace mindvoxel
