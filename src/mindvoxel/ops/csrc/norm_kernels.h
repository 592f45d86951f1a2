// The inner loops of norm.cc, in AVX-512: normalise, scale and shift, activate, add a residual, activate again.
#pragma once

#include <cstdint>

namespace mindvoxel::norm {

// f(x): x; x or exp(x) - 1 below 0 (within 2e-7 of it); x or leak * x below 0.
enum class Act { kNone, kElu, kLeaky };
constexpr int kActs = 3;

// Everything is read 16 floats at a time, and every lane has numbers of its own: the lanes are 16 channels, or 16
// voxels of one channel, whose numbers are then all the same.
constexpr int kLanes = 16;

// z = (x - mean) * scale + shift; the slope of leaky activations below 0.
struct Affine {
  float mean[kLanes], scale[kLanes], shift[kLanes], leak;
};

// What a gradient needs beside the affine part: dx = scale * (dz - offset - (x - mean) * slope).
struct Correction {
  float offset[kLanes], slope[kLanes];
};

struct Sums {
  double first[kLanes] = {}, second[kLanes] = {};
};

// Adds the sums of x - shift and of (x - shift)^2.
void Moments(const float *x, int64_t count, const float *shift, Sums *sums);

// y = last(act(z) + residual); the residual may be null: then y = act(z). `spread`: one number of it is for 16 of x.
// `past_caches`: y, whose vectors all begin at a multiple of 64 bytes, is written straight to memory.
using Apply = void (*)(const float *x, const float *residual, bool spread, int64_t count, const Affine &affine,
                       float *y, bool past_caches);
// Adds the sums of dz and of dz * (x - mean). `residual_gradient` (or null) becomes the gradient of the sum that `last`
// was taken of. `y` is read where `last` is not kNone.
using Gather = void (*)(const float *x, const float *y, const float *dy, int64_t count, const Affine &affine,
                        Sums *sums, float *residual_gradient);
using Deliver = void (*)(const float *x, const float *y, const float *dy, int64_t count, const Affine &affine,
                         const Correction &correction, float *dx);

struct Kernels {
  Apply apply;
  Gather gather;
  Deliver deliver;
};

// Null where the library was built for another processor.
const Kernels *Find(Act act, Act last);

}  // namespace mindvoxel::norm
