// Normalisation as MindSpore calls it. The first input is a float32 tensor that holds what shapes do not tell:
//   [Kind, Act, last Act, whether there is a residual, epsilon, the share of the running statistics that is kept,
//    the slope of a leaky activation below 0, whether the tensors of x's shape are blocked: (N, C/16, space..., 16)].

#include <cstring>

#include "call.h"
#include "norm.h"

namespace mindvoxel {
namespace {

struct Request {
  norm::Case c;
  bool has_residual;
};

Request Read(const Tensors &t) {
  for (int i = 0; i < t.count; i++) Require(std::strcmp(t.types[i], "float32") == 0, "tensors must be float32");
  Require(t.count > 3 && t.ranks[0] == 1 && t.shapes[0][0] == 8, "the first input must hold 8 numbers");
  const float *n = t.In(0);
  for (int i = 0; i < 3; i++) Require(n[i] == 0 || n[i] == 1 || n[i] == 2, "unknown kind or activation");
  const Dims x = t.Shape(1);
  Require(x.size() >= 3, "the input must have space axes");
  Request r{};
  r.c.kind = static_cast<norm::Kind>(static_cast<int>(n[0]));
  r.c.act = static_cast<norm::Act>(static_cast<int>(n[1]));
  r.c.last = static_cast<norm::Act>(static_cast<int>(n[2]));
  r.has_residual = n[3] != 0;
  r.c.epsilon = n[4];
  r.c.keep = n[5];
  r.c.leak = n[6];
  r.c.blocked = n[7] != 0;
  r.c.batch = x[0];
  r.c.channels = x[1];
  r.c.space = 1;
  for (std::size_t i = 2; i < x.size(); i++) r.c.space *= x[i];
  Require(r.c.batch * r.c.channels * r.c.space > 0, "the input is empty");
  Require(!r.c.blocked || r.c.channels % norm::kLanes == 0, "channels of a blocked tensor must be a multiple of 16");
  return r;
}

void RequireLengths(const Tensors &t, int first, int end, int64_t length) {
  for (int i = first; i < end; i++) {
    Require(t.ranks[i] == 1 && t.shapes[i][0] == length, "the tensors of one number a channel do not fit");
  }
}

void RequireSameShape(const Tensors &t, int i) {
  Require(t.Shape(i) == t.Shape(1), "tensors must have the input's shape");
}

// Whether the residual has one channel for all; it must have the input's shape otherwise.
bool HasOneChannel(const Tensors &t, int residual) {
  Dims want = t.Shape(1), got = t.Shape(residual);
  if (got == want) return false;
  want[1] = 1;
  Require(got == want, "the residual must have the input's shape, or one channel");
  return true;
}

// numbers, x, gamma, beta, [running mean, running variance], [residual]
//   -> y, mean, inverse deviation, [new mean, new variance]
void RunForward(const Tensors &t) {
  Request r = Read(t);
  const bool running = r.c.kind != norm::Kind::kInstance, remembers = r.c.kind == norm::Kind::kBatch;
  const int residual = running ? 6 : 4, y = residual + (r.has_residual ? 1 : 0);
  Require(t.count == y + (remembers ? 5 : 3), "wrong number of tensors");
  RequireLengths(t, 2, residual, r.c.channels);
  RequireSameShape(t, y);
  RequireLengths(t, y + 1, y + 3, r.c.groups());
  RequireLengths(t, y + 3, t.count, r.c.channels);
  norm::ForwardArgs args{};
  args.x = t.In(1);
  args.gamma = t.In(2);
  args.beta = t.In(3);
  if (running) {
    args.running_mean = t.In(4);
    args.running_variance = t.In(5);
  }
  if (r.has_residual) {
    r.c.one_channel_residual = HasOneChannel(t, residual);
    args.residual = t.In(residual);
  }
  args.y = t.Out(y);
  args.mean = t.Out(y + 1);
  args.inverse_deviation = t.Out(y + 2);
  if (remembers) {
    args.new_mean = t.Out(y + 3);
    args.new_variance = t.Out(y + 4);
  }
  norm::Forward(r.c, args);
}

// numbers, x, gamma, beta, mean, inverse deviation, dy, [y] -> dx, dgamma, dbeta, [gradient of the residual]
void RunBackward(const Tensors &t) {
  const Request r = Read(t);
  const int dx = r.has_residual ? 8 : 7;
  Require(t.count == dx + 3 || (r.has_residual && t.count == dx + 4), "wrong number of tensors");
  RequireLengths(t, 2, 4, r.c.channels);
  RequireLengths(t, 4, 6, r.c.groups());
  for (int i = 6; i <= dx; i++) RequireSameShape(t, i);
  RequireLengths(t, dx + 1, dx + 3, r.c.channels);
  norm::BackwardArgs args{};
  args.x = t.In(1);
  args.gamma = t.In(2);
  args.beta = t.In(3);
  args.mean = t.In(4);
  args.inverse_deviation = t.In(5);
  args.dy = t.In(6);
  args.y = t.In(r.has_residual ? 7 : 1);  // not read where there is no residual
  args.has_residual = r.has_residual;
  args.dx = t.Out(dx);
  args.dgamma = t.Out(dx + 1);
  args.dbeta = t.Out(dx + 2);
  if (t.count == dx + 4) {
    RequireSameShape(t, dx + 3);
    args.dresidual = t.Out(dx + 3);
  }
  norm::Backward(r.c, args);
}

}  // namespace
}  // namespace mindvoxel

using mindvoxel::Tensors;

MINDVOXEL_API int NormForward(int n, void **data, int *ranks, int64_t **shapes, const char **types, void *, void *) {
  return mindvoxel::Guarded("NormForward", [&] { mindvoxel::RunForward({n, data, ranks, shapes, types}); });
}

MINDVOXEL_API int NormBackward(int n, void **data, int *ranks, int64_t **shapes, const char **types, void *, void *) {
  return mindvoxel::Guarded("NormBackward", [&] { mindvoxel::RunBackward({n, data, ranks, shapes, types}); });
}

// Whether the two above can be used here: they need AVX-512.
MINDVOXEL_API int mindvoxel_has_norm() {
  using mindvoxel::norm::Act;
  return mindvoxel::HasAvx512() && mindvoxel::norm::Find(Act::kNone, Act::kNone) != nullptr ? 1 : 0;
}
