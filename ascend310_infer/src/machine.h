// What this process may use of the machine.
#pragma once

#include <cstddef>
#include <filesystem>

namespace mindvoxel {

/// Cores that the scheduler gives this process: its affinity, and no more than its control groups' quota.
///
/// root: where /proc and /sys lie, for tests.
std::size_t available_cores(const std::filesystem::path& root = "/");

/// The most memory that this process has held at once, MB (2**20 bytes); 0 where the kernel does not tell.
double peak_memory_mb();

}  // namespace mindvoxel
