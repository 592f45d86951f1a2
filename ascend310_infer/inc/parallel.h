// Work shared by threads.
#pragma once

#include <cstddef>
#include <functional>

namespace mindvoxel {

/// Call `work(begin, end)` for parts that together are [0, count), on up to `threads` threads, of which the caller is
/// one.
///
/// Returns when all have ended; the first exception of a part is thrown again.
void parallel_for(std::size_t count, std::size_t threads,
                  const std::function<void(std::size_t begin, std::size_t end)>& work);

}  // namespace mindvoxel
