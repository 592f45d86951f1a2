#include "parallel.h"

#include <algorithm>
#include <exception>
#include <system_error>
#include <thread>
#include <vector>

namespace mindvoxel {

void parallel_for(std::size_t count, std::size_t threads,
                  const std::function<void(std::size_t begin, std::size_t end)>& work) {
  if (count == 0) return;
  const std::size_t parts = std::min(std::max<std::size_t>(threads, 1), count);
  const std::size_t size = count / parts, rest = count % parts;  // the first `rest` parts have one more
  auto begin_of = [&](std::size_t part) { return part * size + std::min(part, rest); };
  std::vector<std::exception_ptr> faults(parts);
  auto run = [&](std::size_t part) noexcept {
    try {
      work(begin_of(part), begin_of(part + 1));
    } catch (...) {
      faults[part] = std::current_exception();
    }
  };
  std::vector<std::thread> others;
  others.reserve(parts - 1);
  std::size_t next = 1;
  try {
    for (; next < parts; ++next) others.emplace_back(run, next);
  } catch (const std::system_error&) {  // no more threads are to be had: the caller does the rest
  }
  for (std::size_t part = next; part < parts; ++part) run(part);
  run(0);
  for (std::thread& other : others) other.join();
  for (const std::exception_ptr& fault : faults) {
    if (fault) std::rethrow_exception(fault);
  }
}

}  // namespace mindvoxel
