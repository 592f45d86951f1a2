// Sums over the softmax as MindSpore calls them: logits (N, C, space...), label int32 (N, space...).

#include <algorithm>
#include <cstring>
#include <vector>

#include "call.h"
#include "softmax.h"

namespace mindvoxel {
namespace {

constexpr int64_t kStretch = 2048;  // voxels that are summed in f32; the same whatever the number of threads

struct Volume {
  Volume(const Tensors &t) {
    Require(std::strcmp(t.types[0], "float32") == 0 && std::strcmp(t.types[1], "int32") == 0,
            "logits must be float32, labels int32");
    const Dims logits = t.Shape(0), label = t.Shape(1);
    Require(logits.size() >= 2 && label.size() + 1 == logits.size() && label[0] == logits[0] &&
                std::equal(label.begin() + 1, label.end(), logits.begin() + 2),
            "labels do not have the shape of the logits");
    batch = logits[0];
    classes = logits[1];
    Require(classes >= 1 && classes <= softmax::kMostClasses, "too many classes");
    space = 1;
    for (std::size_t i = 2; i < logits.size(); i++) space *= logits[i];
    per_sample = (space + kStretch - 1) / kStretch;
  }

  int64_t stretches() const { return batch * per_sample; }
  int64_t sums() const { return 1 + 3 * classes; }
  int64_t Label(int64_t s) const { return s / per_sample * space + s % per_sample * kStretch; }
  int64_t Logits(int64_t s) const { return s / per_sample * space * classes + s % per_sample * kStretch; }
  int64_t Count(int64_t s) const { return std::min(kStretch, space - s % per_sample * kStretch); }

  int64_t batch, classes, space, per_sample;
};

void RequireSums(const Tensors &t, int i, const Volume &v) {
  Require(t.Shape(i) == Dims{v.batch, v.sums()} && std::strcmp(t.types[i], "float32") == 0,
          "there must be (N, 1 + 3 C) float32 sums");
}

// logits, label -> for each sample [cross entropy, C overlaps, C sums of probability, C counts of the label]
void RunSums(const Tensors &t) {
  Require(t.count == 3, "wrong number of tensors");
  const Volume v(t);
  RequireSums(t, 2, v);
  const auto *label = static_cast<const int32_t *>(t.data[1]);
  std::vector<softmax::Sums> parts(v.stretches());
#pragma omp parallel for schedule(static)
  for (int64_t s = 0; s < v.stretches(); s++) {
    softmax::Measure(t.In(0) + v.Logits(s), v.space, v.classes, label + v.Label(s), v.Count(s), &parts[s]);
  }
  std::vector<double> total(v.batch * v.sums());
  for (int64_t s = 0; s < v.stretches(); s++) {
    const softmax::Sums &part = parts[s];
    double *sums = total.data() + s / v.per_sample * v.sums();
    sums[0] += part.cross_entropy;
    for (int64_t c = 0; c < v.classes; c++) {
      sums[1 + c] += part.overlap[c];
      sums[1 + v.classes + c] += part.probability[c];
      sums[1 + 2 * v.classes + c] += part.truth[c];
    }
  }
  for (std::size_t i = 0; i < total.size(); i++) t.Out(2)[i] = static_cast<float>(total[i]);
}

// logits, label, gradient of the sums -> gradient of the logits
void RunGradient(const Tensors &t) {
  Require(t.count == 4 && t.Shape(3) == t.Shape(0), "wrong number of tensors, or a wrong shape");
  const Volume v(t);
  RequireSums(t, 2, v);
  const auto *label = static_cast<const int32_t *>(t.data[1]);
#pragma omp parallel for schedule(static)
  for (int64_t s = 0; s < v.stretches(); s++) {
    const float *of_sums = t.In(2) + s / v.per_sample * v.sums();
    const softmax::Slopes slopes{of_sums[0], of_sums + 1, of_sums + 1 + v.classes};
    softmax::Gradient(t.In(0) + v.Logits(s), v.space, v.classes, label + v.Label(s), v.Count(s), slopes,
                      t.Out(3) + v.Logits(s));
  }
}

}  // namespace
}  // namespace mindvoxel

using mindvoxel::Tensors;

MINDVOXEL_API int SoftmaxSums(int n, void **data, int *ranks, int64_t **shapes, const char **types, void *, void *) {
  return mindvoxel::Guarded("SoftmaxSums", [&] { mindvoxel::RunSums({n, data, ranks, shapes, types}); });
}

MINDVOXEL_API int SoftmaxSumsGradient(int n, void **data, int *ranks, int64_t **shapes, const char **types, void *,
                                      void *) {
  return mindvoxel::Guarded("SoftmaxSumsGradient", [&] { mindvoxel::RunGradient({n, data, ranks, shapes, types}); });
}

// The most classes that the two above take; 0 where they cannot be used: they need AVX-512.
MINDVOXEL_API int mindvoxel_softmax_classes() {
  return mindvoxel::HasAvx512() && mindvoxel::softmax::IsBuilt() ? static_cast<int>(mindvoxel::softmax::kMostClasses)
                                                                 : 0;
}
