#include "joined.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include "arena.h"

namespace mindvoxel {
namespace {

Case Whole(Case c) {
  c.src_first = 0;
  return c;
}

// How two tensors of a batch become one: an image of the first, then one of the second.
class Seam {
 public:
  explicit Seam(const Case &c)
      : images_(c.src[0]),
        voxels_(std::accumulate(c.src.begin() + 2, c.src.end(), int64_t{1}, std::multiplies<>())),
        first_(c.src_first * voxels_),
        second_((c.src[1] - c.src_first) * voxels_) {}

  float *Room() const { return TakeFloats(images_ * (first_ + second_)); }

  void Join(Source from, float *to) const {
#pragma omp parallel for schedule(static) num_threads(NumThreads())
    for (int64_t i = 0; i < images_; i++) {
      float *image = to + i * (first_ + second_);
      std::copy_n(from.first + i * first_, first_, image);
      std::copy_n(from.second + i * second_, second_, image + first_);
    }
  }

  void Part(const float *from, Pieces<float> to) const {
#pragma omp parallel for schedule(static) num_threads(NumThreads())
    for (int64_t i = 0; i < images_; i++) {
      const float *image = from + i * (first_ + second_);
      std::copy_n(image, first_, to.first + i * first_);
      std::copy_n(image + first_, second_, to.second + i * second_);
    }
  }

 private:
  int64_t images_, voxels_, first_, second_;
};

class JoinedForward : public Forward {
 public:
  explicit JoinedForward(const Case &c) : seam_(c), inner_(MakeForward(Whole(c))) {}

  void Run(Source src, const float *weights, const float *bias, float *dst) override {
    Arena::Scope scope;
    float *whole = seam_.Room();
    seam_.Join(src, whole);
    inner_->Run(whole, weights, bias, dst);
  }

 private:
  Seam seam_;
  std::unique_ptr<Forward> inner_;
};

class JoinedBackward : public Backward {
 public:
  JoinedBackward(const Case &c, bool data, bool weights) : seam_(c), inner_(MakeBackward(Whole(c), data, weights)) {}

  void Run(Source src, const float *weights, const float *diff_dst, const Gradients &out) override {
    Arena::Scope scope;
    float *whole = seam_.Room();
    seam_.Join(src, whole);
    Gradients joined = out;
    if (out.src.first != nullptr) joined.src = seam_.Room();
    inner_->Run(whole, weights, diff_dst, joined);
    if (out.src.first != nullptr) seam_.Part(joined.src.first, out.src);
  }

 private:
  Seam seam_;
  std::unique_ptr<Backward> inner_;
};

}  // namespace

std::unique_ptr<Forward> MakeJoinedForward(const Case &c) { return std::make_unique<JoinedForward>(c); }

std::unique_ptr<Backward> MakeJoinedBackward(const Case &c, bool data, bool weights) {
  return std::make_unique<JoinedBackward>(c, data, weights);
}

}  // namespace mindvoxel
