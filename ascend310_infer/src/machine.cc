#include "machine.h"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace mindvoxel {
namespace {

namespace fs = std::filesystem;

/// All words of a small file; none where it is absent, as on a kernel without control groups.
std::vector<std::string> words_of(const fs::path& path) {
  std::ifstream file(path);
  std::vector<std::string> words;
  for (std::string word; file >> word;) words.push_back(word);
  return words;
}

/// Cores of a control group's quota, rounded up; 0: no bound.
std::size_t quota_of(const fs::path& group) {
  std::vector<std::string> words = words_of(group / "cpu.max");  // version 2: both numbers in one file
  if (words.empty()) {
    words = words_of(group / "cpu.cfs_quota_us");
    for (const std::string& word : words_of(group / "cpu.cfs_period_us")) words.push_back(word);
  }
  if (words.size() != 2) return 0;
  std::istringstream numbers(words[0] + " " + words[1]);
  long long quota = 0, period = 0;
  if (!(numbers >> quota >> period) || quota <= 0 || period <= 0) return 0;  // max or -1
  return static_cast<std::size_t>((quota + period - 1) / period);
}

/// The folder in which a line of /proc/self/cgroup has its groups; none where it is not about the processor.
fs::path mount_of(const std::string& controllers, const fs::path& root) {
  if (controllers.empty()) return root / "sys/fs/cgroup";
  if (("," + controllers + ",").find(",cpu,") == std::string::npos) return {};
  const fs::path joint = root / "sys/fs/cgroup" / controllers;
  return fs::is_directory(joint) ? joint : root / "sys/fs/cgroup/cpu";
}

}  // namespace

std::size_t available_cores(const fs::path& root) {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::size_t cores = 1;
  if (sched_getaffinity(0, sizeof set, &set) == 0) cores = static_cast<std::size_t>(CPU_COUNT(&set));
  std::ifstream lines(root / "proc/self/cgroup");
  for (std::string line; std::getline(lines, line);) {  // hierarchy:controllers:path
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const fs::path mount = mount_of(line.substr(first + 1, second - first - 1), root);
    if (mount.empty()) continue;
    fs::path group = mount;
    std::size_t least = quota_of(group);
    for (const fs::path& part : fs::path(line.substr(second + 1)).relative_path()) {
      group /= part;
      const std::size_t quota = quota_of(group);
      if (quota > 0) least = least > 0 ? std::min(least, quota) : quota;
    }
    if (least > 0) cores = std::min(cores, least);
  }
  return std::max<std::size_t>(cores, 1);
}

double peak_memory_mb() {
  // not getrusage: its ru_maxrss begins with what the process held that started this one
  const std::vector<std::string> words = words_of("/proc/self/status");
  const auto found = std::find(words.begin(), words.end(), "VmHWM:");
  return words.end() - found > 1 ? std::stod(*(found + 1)) / 1024 : 0;
}

}  // namespace mindvoxel
