// Normalisation over a batch or over each sample, with scale and shift, activation, residual and a last activation.
#pragma once

#include <cstdint>

#include "norm_kernels.h"

namespace mindvoxel::norm {

// Statistics of a channel over batch and space, of a channel of each sample over space, or given from outside.
enum class Kind { kBatch, kInstance, kGiven };

struct Case {
  Kind kind;
  Act act, last;
  int64_t batch, channels, space;
  bool blocked;               // channels lie in groups of 16: (N, C/16, space, 16)
  bool one_channel_residual;  // the residual's only channel is added to every channel
  float epsilon, keep;        // `keep` of the running statistics is kept at each step
  float leak;                 // slope of a leaky activation below 0

  // Sets of statistics: one a channel, or one a channel and sample.
  int64_t groups() const { return kind == Kind::kInstance ? batch * channels : channels; }
};

struct ForwardArgs {
  const float *x, *gamma, *beta;
  const float *running_mean, *running_variance;  // null for kInstance
  const float *residual;                         // or null
  float *y, *mean, *inverse_deviation;           // the last two: one a group, for Backward
  float *new_mean, *new_variance;                // running statistics after this step; kBatch only
};

struct BackwardArgs {
  const float *x, *y, *dy, *gamma, *beta, *mean, *inverse_deviation;
  bool has_residual;
  float *dx, *dgamma, *dbeta;
  float *dresidual;  // or null
};

void Forward(const Case &c, const ForwardArgs &args);
void Backward(const Case &c, const BackwardArgs &args);

}  // namespace mindvoxel::norm
