#include "arena.h"

#include <malloc.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <new>

namespace mindvoxel {
namespace {

constexpr std::size_t kAlign = 4096;          // a page: no two tensors share a cache line
constexpr std::size_t kHugePage = 2u << 20u;

std::size_t RoundUp(std::size_t size, std::size_t unit) { return (size + unit - 1) / unit * unit; }

}  // namespace

void FreeBlock::operator()(char *block) const { std::free(block); }

BlockPointer NewBlock(std::size_t bytes) {
  const bool is_large = bytes >= kHugePage;
  const std::size_t unit = is_large ? kHugePage : kAlign, whole = RoundUp(std::max<std::size_t>(bytes, 1), unit);
  BlockPointer block(static_cast<char *>(std::aligned_alloc(unit, whole)));
  if (block == nullptr) throw std::bad_alloc();
  if (is_large) madvise(block.get(), whole, MADV_HUGEPAGE);  // a hint: its failure changes nothing
  return block;
}

Arena &Arena::Get() {
  static Arena arena;
  return arena;
}

Arena::Scope::Scope() {
  Arena &arena = Get();
  if (arena.depth_ == 0) arena.Merge();  // may throw: then this scope never was
  arena.depth_++;
  block_ = arena.block_;
  used_ = arena.used_;
  total_ = arena.total_;
}

Arena::Scope::~Scope() {
  Arena &arena = Get();
  arena.depth_--;
  arena.block_ = block_;
  arena.used_ = used_;
  arena.total_ = total_;
}

void *Arena::Take(std::size_t bytes) {
  const std::size_t size = RoundUp(std::max<std::size_t>(bytes, 1), kAlign);
  while (block_ < blocks_.size() && used_ + size > blocks_[block_].size) {
    total_ += blocks_[block_].size - used_;
    block_++;
    used_ = 0;
  }
  if (block_ == blocks_.size()) AddBlock(size);
  char *start = blocks_[block_].data.get() + used_;
  used_ += size;
  total_ += size;
  peak_ = std::max(peak_, total_);
  return start;
}

void Arena::AddBlock(std::size_t size) {
  malloc_trim(0);  // what compiling a graph used and freed, tens of MB, goes back before the first step needs memory
  const std::size_t whole = RoundUp(size, kHugePage);
  blocks_.push_back({NewBlock(whole), whole});
}

void Arena::Merge() {
  if (blocks_.size() <= 1) return;
  blocks_.clear();
  AddBlock(peak_);
}

void Arena::Release() {
  blocks_.clear();
  peak_ = 0;
}

std::size_t Arena::Bytes() const {
  std::size_t sum = 0;
  for (const Block &block : blocks_) sum += block.size;
  return sum;
}

}  // namespace mindvoxel
