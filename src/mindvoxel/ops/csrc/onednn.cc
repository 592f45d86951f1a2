#include "onednn.h"

#include <omp.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <fstream>
#include <sstream>
#include <string>

namespace mindvoxel {
namespace {

constexpr auto kEveryIsa = static_cast<dnnl::cpu_isa>(0);  // "all" in oneDNN 2.x, "isa_default" in 3.x

// The whole CPUs that a cgroup quota grants, or `most` where there is none; v2 has one file, v1 has two.
int QuotaCores(int most) {
  double quota = -1, period = 0;
  std::string text;
  if (std::ifstream v2("/sys/fs/cgroup/cpu.max"); v2 >> text >> period) {
    quota = text == "max" ? -1 : std::stod(text);
  } else {
    std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") >> quota;
    std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_period_us") >> period;
  }
  if (quota <= 0 || period <= 0) return most;
  return std::clamp(static_cast<int>(std::ceil(quota / period)), 1, most);
}

int CountThreads() {
  cpu_set_t set;
  CPU_ZERO(&set);
  int cores = omp_get_num_procs();
  if (sched_getaffinity(0, sizeof(set), &set) == 0) cores = std::min(cores, CPU_COUNT(&set));
  return std::max(1, QuotaCores(std::min(cores, omp_get_max_threads())));
}

bool IsaIncludes(dnnl::cpu_isa isa) {
  Engine();
  const auto have = static_cast<unsigned>(dnnl::get_effective_cpu_isa());
  return (have & static_cast<unsigned>(isa)) == static_cast<unsigned>(isa);
}

std::atomic<int> num_threads{0};  // 0: not counted yet

Desc TaggedDesc(const Dims &dims, Type type, memory::format_tag tag3, memory::format_tag tag4,
                memory::format_tag tag5) {
  return Desc(dims, type, dims.size() == 3 ? tag3 : dims.size() == 4 ? tag4 : tag5);
}

}  // namespace

dnnl::engine &Engine() {
  static dnnl::engine engine = [] {
    dnnl::set_max_cpu_isa(kEveryIsa);
    return dnnl::engine(dnnl::engine::kind::cpu, 0);
  }();
  return engine;
}

dnnl::stream &Stream() {
  static dnnl::stream stream(Engine());
  return stream;
}

bool HasBf16() { return IsaIncludes(dnnl::cpu_isa::avx512_core_bf16); }

bool HasAvx512() { return IsaIncludes(dnnl::cpu_isa::avx512_core); }

bool HasAmx() { return IsaIncludes(dnnl::cpu_isa::avx512_core_amx); }

const char *IsaName() {
  if (HasAmx()) return "amx";
  if (HasBf16()) return "avx512_bf16";
  if (HasAvx512()) return "avx512";
  return IsaIncludes(dnnl::cpu_isa::avx2) ? "avx2" : "generic";
}

int NumThreads() {
  if (num_threads == 0) num_threads = CountThreads();
  return num_threads;
}

void SetThreads(int threads) { num_threads = threads; }

Desc PlainDesc(const Dims &dims, Type type) {
  using Tag = memory::format_tag;
  return TaggedDesc(dims, type, Tag::abc, Tag::abcd, Tag::abcde);
}

Desc ChannelsLastDesc(const Dims &dims, Type type) {
  using Tag = memory::format_tag;
  return TaggedDesc(dims, type, Tag::acb, Tag::acdb, Tag::acdeb);
}

Desc BlockedDesc(const Dims &dims, Type type) {
  using Tag = memory::format_tag;
  return TaggedDesc(dims, type, Tag::aBc16b, Tag::aBcd16b, Tag::aBcde16b);
}

Desc AnyDesc(const Dims &dims, Type type) { return Desc(dims, type, memory::format_tag::any); }

Desc SwappedWeights(const Dims &dims) {
  using Tag = memory::format_tag;
  return TaggedDesc(dims, Type::f32, Tag::bac, Tag::bacd, Tag::bacde);
}

}  // namespace mindvoxel
