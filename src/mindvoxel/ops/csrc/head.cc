#include "head.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "layout.h"
#include "patches_kernels.h"

namespace mindvoxel {
namespace {

using patches::kLanes;

constexpr int64_t kPartVox = 4096;  // what a thread works on at a time

// The voxels of all images, cut into parts.
class Parts {
 public:
  explicit Parts(const Case &c)
      : channels_(c.src[1]),
        classes_(c.dst[1]),
        voxels_(std::accumulate(c.src.begin() + 2, c.src.end(), int64_t{1}, std::multiplies<>())),
        per_image_((voxels_ + kPartVox - 1) / kPartVox),
        count_(c.src[0] * per_image_) {}

  int64_t count() const { return count_; }
  int64_t channels() const { return channels_; }
  int64_t classes() const { return classes_; }

  patches::Head Part(int64_t p) const {
    return {classes_, channels_ / kLanes, voxels_, std::min(kPartVox, voxels_ - p % per_image_ * kPartVox)};
  }
  // Where a part's classes begin, and its lines of channels.
  int64_t Classes(int64_t p) const { return p / per_image_ * classes_ * voxels_ + p % per_image_ * kPartVox; }
  template <class Float>
  std::vector<Float *> Lines(int64_t p, Float *data) const {
    std::vector<Float *> lines(channels_ / kLanes);
    for (std::size_t b = 0; b < lines.size(); b++) {
      const int64_t run = p / per_image_ * (channels_ / kLanes) + static_cast<int64_t>(b);
      lines[b] = data + (run * voxels_ + p % per_image_ * kPartVox) * kLanes;
    }
    return lines;
  }

 private:
  int64_t channels_, classes_, voxels_, per_image_, count_;
};

class HeadForward : public Forward {
 public:
  explicit HeadForward(const Case &c) : parts_(c) {}

  void Run(Source src, const float *weights, const float *bias, float *dst) override {
#pragma omp parallel for schedule(static) num_threads(NumThreads())
    for (int64_t p = 0; p < parts_.count(); p++) {
      patches::HeadForward(parts_.Part(p), parts_.Lines(p, src.first).data(), weights, bias, dst + parts_.Classes(p));
    }
  }

 private:
  Parts parts_;
};

class HeadBackward : public Backward {
 public:
  explicit HeadBackward(const Case &c) : parts_(c) {}

  void Run(Source src, const float *weights, const float *diff_dst, const Gradients &out) override {
    const int64_t factors = parts_.classes() * parts_.channels(), sums = factors + parts_.classes() * kLanes;
    std::vector<float> all(parts_.count() * sums);
#pragma omp parallel for schedule(static) num_threads(NumThreads())
    for (int64_t p = 0; p < parts_.count(); p++) {
      const float *gradient = diff_dst + parts_.Classes(p);
      if (out.src.first != nullptr) {
        patches::HeadData(parts_.Part(p), gradient, weights, parts_.Lines(p, out.src.first).data());
      }
      if (out.weights == nullptr) continue;
      float *mine = &all[p * sums];
      patches::HeadWeights(parts_.Part(p), parts_.Lines(p, src.first).data(), gradient, mine, mine + factors);
    }
    if (out.weights == nullptr) return;
    std::vector<double> total(sums);  // always added in the same order
    for (int64_t p = 0; p < parts_.count(); p++) {
      for (int64_t i = 0; i < sums; i++) total[i] += all[p * sums + i];
    }
    std::copy_n(total.begin(), factors, out.weights);
    for (int64_t o = 0; out.bias != nullptr && o < parts_.classes(); o++) {
      const auto lanes = total.begin() + factors + o * kLanes;
      out.bias[o] = static_cast<float>(std::accumulate(lanes, lanes + kLanes, 0.0));
    }
  }

 private:
  Parts parts_;
};

}  // namespace

bool IsBlockedHead(const Case &c) {
  return IsHead(c) && c.src_blocked && c.dst[1] <= patches::kMostClasses && HasAvx512() && patches::IsBuilt();
}

std::unique_ptr<Forward> MakeHeadForward(const Case &c) { return std::make_unique<HeadForward>(c); }

std::unique_ptr<Backward> MakeHeadBackward(const Case &c) { return std::make_unique<HeadBackward>(c); }

}  // namespace mindvoxel
