#include "norm.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <vector>

#include "stores.h"

namespace mindvoxel::norm {
namespace {

constexpr int64_t kPartFloats = 64 * 1024;  // what a thread works on at a time; the same however many threads there are

const Kernels &Chosen(Act act, Act last) {
  const Kernels *kernels = Find(act, last);
  if (kernels == nullptr) throw std::runtime_error("normalisation was not built for this processor");
  return *kernels;
}

// A stretch of memory whose lanes have the same channels throughout.
struct Part {
  int64_t at, count;      // in floats
  int64_t channel, group; // the first of its channels, and of its sets of statistics
  int64_t residual_at;    // where the residual begins
};

// The tensor cut into parts. A run is one channel of a sample, or 16 where they lie together.
class Parts {
 public:
  explicit Parts(const Case &c)
      : c_(c),
        wide_(c.blocked ? kLanes : 1),
        per_run_((c.space * wide_ + kPartFloats - 1) / kPartFloats),
        runs_(c.channels / wide_) {}

  int64_t count() const { return c_.batch * runs_ * per_run_; }
  int64_t wide() const { return wide_; }
  float leak() const { return c_.leak; }

  Part operator[](int64_t i) const {
    const int64_t run = i / per_run_, start = i % per_run_ * kPartFloats, size = c_.space * wide_;
    const int64_t sample = run / runs_, channel = run % runs_ * wide_;
    const int64_t group = (c_.kind == Kind::kInstance ? sample * c_.channels : 0) + channel;
    const int64_t residual = c_.one_channel_residual ? sample * c_.space + start / wide_ : run * size + start;
    return {run * size + start, std::min(kPartFloats, size - start), channel, group, residual};
  }

  // Numbers by group, as lanes.
  template <class Number>
  void Spread(const Number *numbers, float *lanes) const {
    for (int i = 0; i < kLanes; i++) lanes[i] = static_cast<float>(numbers[wide_ == 1 ? 0 : i]);
  }

 private:
  const Case &c_;
  int64_t wide_, per_run_, runs_;
};

struct Pair {
  double first = 0, second = 0;
};

// The sums of all parts by group, always added in the same order.
std::vector<Pair> ByGroup(const Case &c, const Parts &parts, const std::vector<Sums> &sums) {
  std::vector<Pair> groups(c.groups());
  for (int64_t p = 0; p < parts.count(); p++) {
    const int64_t group = parts[p].group;
    for (int i = 0; i < kLanes; i++) {
      Pair &pair = groups[group + (parts.wide() == 1 ? 0 : i)];
      pair.first += sums[p].first[i];
      pair.second += sums[p].second[i];
    }
  }
  return groups;
}

// The mean of each group's first voxels. The variance is taken about it, so that a large mean costs no digits.
std::vector<float> FirstMeans(const Case &c, const Parts &parts, const float *x) {
  std::vector<float> means(c.groups());
  const int64_t few = std::min<int64_t>(c.space, 16);
  const int64_t samples = c.kind == Kind::kInstance ? c.batch : 1;
  const int64_t wide = parts.wide();
  for (int64_t g = 0; g < samples * c.channels; g++) {
    const float *start = x + g / wide * wide * c.space + g % wide;
    double sum = 0;
    for (int64_t v = 0; v < few; v++) sum += start[v * wide];
    means[g] = static_cast<float>(sum / static_cast<double>(few));
  }
  return means;
}

int64_t Count(const Case &c) { return c.kind == Kind::kInstance ? c.space : c.batch * c.space; }

// As MindSpore and PyTorch do: the running variance is the unbiased one.
void Remember(const Case &c, int64_t channel, double mean, double variance, const ForwardArgs &args) {
  const auto count = static_cast<double>(Count(c));
  const double unbiased = variance * count / std::max<double>(count - 1, 1), keep = c.keep;
  args.new_mean[channel] = static_cast<float>(keep * args.running_mean[channel] + (1 - keep) * mean);
  args.new_variance[channel] = static_cast<float>(keep * args.running_variance[channel] + (1 - keep) * unbiased);
}

void Measure(const Case &c, const Parts &parts, const ForwardArgs &args) {
  const std::vector<float> shifts = FirstMeans(c, parts, args.x);
  std::vector<Sums> sums(parts.count());
#pragma omp parallel for schedule(static)
  for (int64_t p = 0; p < parts.count(); p++) {
    const Part part = parts[p];
    float shift[kLanes];
    parts.Spread(&shifts[part.group], shift);
    Moments(args.x + part.at, part.count, shift, &sums[p]);
  }
  const std::vector<Pair> groups = ByGroup(c, parts, sums);
  const auto count = static_cast<double>(Count(c));
  for (int64_t g = 0; g < c.groups(); g++) {
    const double mean = groups[g].first / count;
    const double variance = std::max(groups[g].second / count - mean * mean, 0.0);
    if (c.kind == Kind::kBatch) Remember(c, g, shifts[g] + mean, variance, args);
    args.mean[g] = static_cast<float>(shifts[g] + mean);
    args.inverse_deviation[g] = static_cast<float>(1 / std::sqrt(variance + c.epsilon));
  }
}

// `args`: of either direction.
template <class Args>
Affine AffineOf(const Parts &parts, const Part &part, const Args &args) {
  Affine affine{};
  affine.leak = parts.leak();
  parts.Spread(args.mean + part.group, affine.mean);
  parts.Spread(args.beta + part.channel, affine.shift);
  float deviation[kLanes];
  parts.Spread(args.inverse_deviation + part.group, deviation);
  parts.Spread(args.gamma + part.channel, affine.scale);
  for (int i = 0; i < kLanes; i++) affine.scale[i] *= deviation[i];
  return affine;
}

// The sums of dz and dz * (x - mean) by group; the residual's gradient is ready after it.
std::vector<Pair> SumGradients(const Case &c, const Parts &parts, const BackwardArgs &args) {
  const Gather gather = Chosen(c.act, args.has_residual ? c.last : Act::kNone).gather;
  std::vector<Sums> sums(parts.count());
#pragma omp parallel for schedule(static)
  for (int64_t p = 0; p < parts.count(); p++) {
    const Part part = parts[p];
    float *dresidual = args.dresidual == nullptr ? nullptr : args.dresidual + part.at;
    gather(args.x + part.at, args.y + part.at, args.dy + part.at, part.count, AffineOf(parts, part, args), &sums[p],
           dresidual);
  }
  return ByGroup(c, parts, sums);
}

}  // namespace

void Forward(const Case &c, const ForwardArgs &args) {
  const Apply apply = Chosen(c.act, c.last).apply;
  const Parts parts(c);
  if (c.kind == Kind::kGiven) {
    for (int64_t g = 0; g < c.groups(); g++) {
      args.mean[g] = args.running_mean[g];
      const double variance = args.running_variance[g];
      args.inverse_deviation[g] = static_cast<float>(1 / std::sqrt(variance + c.epsilon));
    }
  } else {
    Measure(c, parts, args);
  }
  const bool past_caches = c.space * parts.wide() % kLanes == 0 &&
                           GoesPastCaches(args.y, c.batch * c.channels * c.space);
#pragma omp parallel for schedule(static)
  for (int64_t p = 0; p < parts.count(); p++) {
    const Part part = parts[p];
    const Affine affine = AffineOf(parts, part, args);
    const float *residual = args.residual == nullptr ? nullptr : args.residual + part.residual_at;
    apply(args.x + part.at, residual, c.one_channel_residual && c.blocked, part.count, affine, args.y + part.at,
          past_caches);
  }
}

void Backward(const Case &c, const BackwardArgs &args) {
  const Parts parts(c);
  const std::vector<Pair> sums = SumGradients(c, parts, args);
  std::vector<float> offsets(c.groups()), slopes(c.groups());
  std::vector<Pair> totals(c.channels);
  const auto count = static_cast<double>(Count(c));
  for (int64_t g = 0; g < c.groups(); g++) {
    const double deviation = args.inverse_deviation[g];
    totals[g % c.channels].first += sums[g].first;
    totals[g % c.channels].second += sums[g].second * deviation;
    if (c.kind == Kind::kGiven) continue;
    offsets[g] = static_cast<float>(sums[g].first / count);
    slopes[g] = static_cast<float>(sums[g].second * deviation * deviation / count);
  }
  for (int64_t i = 0; i < c.channels; i++) {
    args.dbeta[i] = static_cast<float>(totals[i].first);
    args.dgamma[i] = static_cast<float>(totals[i].second);
  }
  // the gradient of the sum is ready where there is one for the residual
  const bool is_ready = args.dresidual != nullptr;
  const Deliver deliver = Chosen(c.act, args.has_residual && !is_ready ? c.last : Act::kNone).deliver;
  const float *dy = is_ready ? args.dresidual : args.dy;
#pragma omp parallel for schedule(static)
  for (int64_t p = 0; p < parts.count(); p++) {
    const Part part = parts[p];
    Correction correction{};
    parts.Spread(&offsets[part.group], correction.offset);
    parts.Spread(&slopes[part.group], correction.slope);
    deliver(args.x + part.at, args.y + part.at, dy + part.at, part.count, AffineOf(parts, part, args), correction,
            args.dx + part.at);
  }
}

}  // namespace mindvoxel::norm
