#include "norm.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <vector>

namespace mindvoxel::norm {
namespace {

const Kernels &Chosen(Act act, Act last) {
  const Kernels *kernels = Find(act, last);
  if (kernels == nullptr) throw std::runtime_error("normalisation was not built for this processor");
  return *kernels;
}

// Where a group's voxels lie: `pieces` runs of `space`.
struct Group {
  Group(const Case &c, int64_t g)
      : channel(g % c.channels),
        pieces(c.kind == Kind::kInstance ? 1 : c.batch),
        sample(c.kind == Kind::kInstance ? g / c.channels : 0),
        count(pieces * c.space) {}

  int64_t Offset(const Case &c, int64_t piece) const { return ((sample + piece) * c.channels + channel) * c.space; }
  int64_t channel, pieces, sample, count;
};

struct Statistics {
  double mean, variance;
};

// The variance is taken about the mean of the first voxels, so that a large mean costs no digits.
Statistics Measure(const Case &c, const Group &group, const float *x) {
  const float *start = x + group.Offset(c, 0);
  Sums first, sums;
  const int64_t few = std::min<int64_t>(c.space, 256);
  Moments(start, few, *start, &first);
  const auto shift = static_cast<float>(*start + first.first / static_cast<double>(few));
  for (int64_t p = 0; p < group.pieces; p++) Moments(x + group.Offset(c, p), c.space, shift, &sums);
  const double count = static_cast<double>(group.count), mean = sums.first / count;
  return {shift + mean, std::max(sums.second / count - mean * mean, 0.0)};
}

Statistics Given(const ForwardArgs &args, int64_t channel) {
  return {args.running_mean[channel], args.running_variance[channel]};
}

// As MindSpore and PyTorch do: the running variance is the unbiased one.
void Remember(const Case &c, const Group &group, const Statistics &s, const ForwardArgs &args) {
  const double unbiased = s.variance * group.count / std::max<double>(group.count - 1, 1);
  const double keep = c.keep;
  const int64_t i = group.channel;
  args.new_mean[i] = static_cast<float>(keep * args.running_mean[i] + (1 - keep) * s.mean);
  args.new_variance[i] = static_cast<float>(keep * args.running_variance[i] + (1 - keep) * unbiased);
}

void ForwardGroup(const Case &c, const ForwardArgs &args, Apply apply, int64_t g) {
  const Group group(c, g);
  const Statistics s = c.kind == Kind::kGiven ? Given(args, group.channel) : Measure(c, group, args.x);
  if (c.kind == Kind::kBatch) Remember(c, group, s, args);
  args.mean[g] = static_cast<float>(s.mean);
  args.inverse_deviation[g] = static_cast<float>(1 / std::sqrt(s.variance + c.epsilon));
  const Affine affine{args.mean[g], args.gamma[group.channel] * args.inverse_deviation[g], args.beta[group.channel],
                      c.leak};
  for (int64_t p = 0; p < group.pieces; p++) {
    const int64_t at = group.Offset(c, p);
    const int64_t residual_at = c.one_channel_residual ? (group.sample + p) * c.space : at;
    const float *residual = args.residual == nullptr ? nullptr : args.residual + residual_at;
    apply(args.x + at, residual, c.space, affine, args.y + at);
  }
}

// The gradients of one group; `sums` receives those of beta and gamma.
void BackwardGroup(const Case &c, const BackwardArgs &args, int64_t g, Sums *sums) {
  const Group group(c, g);
  const float deviation = args.inverse_deviation[g];
  const Affine affine{args.mean[g], args.gamma[group.channel] * deviation, args.beta[group.channel], c.leak};
  const Act last = args.has_residual ? c.last : Act::kNone;
  const Kernels &kernels = Chosen(c.act, last);
  Sums raw;
  for (int64_t p = 0; p < group.pieces; p++) {
    const int64_t at = group.Offset(c, p);
    float *dresidual = args.dresidual == nullptr ? nullptr : args.dresidual + at;
    kernels.gather(args.x + at, args.y + at, args.dy + at, c.space, affine, &raw, dresidual);
  }
  sums->first = raw.first;
  sums->second = raw.second * deviation;
  Correction correction{0, 0};
  if (c.kind != Kind::kGiven) {
    const double count = static_cast<double>(group.count);
    correction = {static_cast<float>(raw.first / count),
                  static_cast<float>(raw.second * deviation * deviation / count)};
  }
  // the gradient of the sum is ready where there is one for the residual
  const Deliver deliver = args.dresidual == nullptr ? kernels.deliver : Chosen(c.act, Act::kNone).deliver;
  const float *dy = args.dresidual == nullptr ? args.dy : args.dresidual;
  for (int64_t p = 0; p < group.pieces; p++) {
    const int64_t at = group.Offset(c, p);
    deliver(args.x + at, args.y + at, dy + at, c.space, affine, correction, args.dx + at);
  }
}

}  // namespace

void Forward(const Case &c, const ForwardArgs &args) {
  const Apply apply = Chosen(c.act, c.last).apply;
#pragma omp parallel for schedule(static)
  for (int64_t g = 0; g < c.groups(); g++) ForwardGroup(c, args, apply, g);
}

void Backward(const Case &c, const BackwardArgs &args) {
  Chosen(c.act, c.last);  // may throw, which the loop may not
  std::vector<Sums> sums(c.groups());
#pragma omp parallel for schedule(static)
  for (int64_t g = 0; g < c.groups(); g++) BackwardGroup(c, args, g, &sums[g]);
  for (int64_t i = 0; i < c.channels; i++) {
    Sums total;
    for (int64_t g = i; g < c.groups(); g += c.channels) {
      total.first += sums[g].first;
      total.second += sums[g].second;
    }
    args.dbeta[i] = static_cast<float>(total.first);
    args.dgamma[i] = static_cast<float>(total.second);
  }
}

}  // namespace mindvoxel::norm
