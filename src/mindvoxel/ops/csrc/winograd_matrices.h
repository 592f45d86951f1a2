// The transforms of Winograd's way along one axis: Toom-Cook matrices (Lavin and Gray, "Fast algorithms for
// convolutional neural networks", 2016). F(m, r) gives m outputs of a kernel with r taps; the rounding errors below are
// those of a layer of 32 channels along two axes, relative to the result (root of the mean square, in float32).
//
// Only for files that are compiled for AVX-512: all is local to them.
#pragma once

namespace mindvoxel::winograd {
namespace {

// F(4, 5) at the points 0, 1, -1, 2, -2, 1/2, -1/2, infinity; error 4e-6.
struct F45 {
  static constexpr int kOutputs = 4, kTaps = 5, kPoints = 8;
  static constexpr float kInput[8][8] = {
      {-1, 0, 5.25F, 0, -5.25F, 0, 1, 0},      {0, 1, 1, -4.25F, -4.25F, 1, 1, 0},
      {0, -1, 1, 4.25F, -4.25F, -1, 1, 0},     {0, .5F, .25F, -2.5F, -1.25F, 2, 1, 0},
      {0, -.5F, .25F, 2.5F, -1.25F, -2, 1, 0}, {0, 2, 4, -2.5F, -5, .5F, 1, 0},
      {0, -2, 4, 2.5F, -5, -.5F, 1, 0},        {0, -1, 0, 5.25F, 0, -5.25F, 0, 1},
  };
  static constexpr float kWeights[8][5] = {
      {-1, 0, 0, 0, 0},
      {-2 / 9.F, -2 / 9.F, -2 / 9.F, -2 / 9.F, -2 / 9.F},
      {-2 / 9.F, 2 / 9.F, -2 / 9.F, 2 / 9.F, -2 / 9.F},
      {1 / 90.F, 1 / 45.F, 2 / 45.F, 4 / 45.F, 8 / 45.F},
      {1 / 90.F, -1 / 45.F, 2 / 45.F, -4 / 45.F, 8 / 45.F},
      {32 / 45.F, 16 / 45.F, 8 / 45.F, 4 / 45.F, 2 / 45.F},
      {32 / 45.F, -16 / 45.F, 8 / 45.F, -4 / 45.F, 2 / 45.F},
      {0, 0, 0, 0, 1},
  };
  static constexpr float kOutput[4][8] = {
      {1, 1, 1, 1, 1, 1, 1, 0},
      {0, 1, -1, 2, -2, .5F, -.5F, 0},
      {0, 1, 1, 4, 4, .25F, .25F, 0},
      {0, 1, -1, 8, -8, .125F, -.125F, 1},
  };
};

// F(4, 3) at 0, 1, -1, 2, -2, infinity; error 3e-6.
struct F43 {
  static constexpr int kOutputs = 4, kTaps = 3, kPoints = 6;
  static constexpr float kInput[6][6] = {
      {4, 0, -5, 0, 1, 0},  {0, -4, -4, 1, 1, 0}, {0, 4, -4, -1, 1, 0},
      {0, -2, -1, 2, 1, 0}, {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1},
  };
  static constexpr float kWeights[6][3] = {
      {1 / 4.F, 0, 0},
      {-1 / 6.F, -1 / 6.F, -1 / 6.F},
      {-1 / 6.F, 1 / 6.F, -1 / 6.F},
      {1 / 24.F, 1 / 12.F, 1 / 6.F},
      {1 / 24.F, -1 / 12.F, 1 / 6.F},
      {0, 0, 1},
  };
  static constexpr float kOutput[4][6] = {
      {1, 1, 1, 1, 1, 0},
      {0, 1, -1, 2, -2, 0},
      {0, 1, 1, 4, 4, 0},
      {0, 1, -1, 8, -8, 1},
  };
};

// F(6, 3) at the points of F(4, 5); error 3e-6.
struct F63 {
  static constexpr int kOutputs = 6, kTaps = 3, kPoints = 8;
  static constexpr const float (&kInput)[8][8] = F45::kInput;
  static constexpr float kWeights[8][3] = {
      {-1, 0, 0},
      {-2 / 9.F, -2 / 9.F, -2 / 9.F},
      {-2 / 9.F, 2 / 9.F, -2 / 9.F},
      {1 / 90.F, 1 / 45.F, 2 / 45.F},
      {1 / 90.F, -1 / 45.F, 2 / 45.F},
      {32 / 45.F, 16 / 45.F, 8 / 45.F},
      {32 / 45.F, -16 / 45.F, 8 / 45.F},
      {0, 0, 1},
  };
  static constexpr float kOutput[6][8] = {
      {1, 1, 1, 1, 1, 1, 1, 0},
      {0, 1, -1, 2, -2, .5F, -.5F, 0},
      {0, 1, 1, 4, 4, .25F, .25F, 0},
      {0, 1, -1, 8, -8, .125F, -.125F, 0},
      {0, 1, 1, 16, 16, .0625F, .0625F, 0},
      {0, 1, -1, 32, -32, .03125F, -.03125F, 1},
  };
};

// F(6, 5) at 0, 1, -1, 2, -2, 1/2, -1/2, 3/4, -3/4, infinity; error 3e-5.
struct F65 {
  static constexpr int kOutputs = 6, kTaps = 5, kPoints = 10;
  static constexpr float kInput[10][10] = {
      {9 / 32.F, 0, -253 / 128.F, 0, 525 / 128.F, 0, -93 / 32.F, 0, .5F, 0},
      {0, -9 / 16.F, -9 / 16.F, 217 / 64.F, 217 / 64.F, -77 / 16.F, -77 / 16.F, 1, 1, 0},
      {0, 9 / 16.F, -9 / 16.F, -217 / 64.F, 217 / 64.F, 77 / 16.F, -77 / 16.F, -1, 1, 0},
      {0, -9 / 32.F, -9 / 64.F, 61 / 32.F, 61 / 64.F, -29 / 8.F, -29 / 16.F, 2, 1, 0},
      {0, 9 / 32.F, -9 / 64.F, -61 / 32.F, 61 / 64.F, 29 / 8.F, -29 / 16.F, -2, 1, 0},
      {0, -9 / 16.F, -9 / 8.F, 109 / 64.F, 109 / 32.F, -89 / 64.F, -89 / 32.F, .25F, .5F, 0},
      {0, 9 / 16.F, -9 / 8.F, -109 / 64.F, 109 / 32.F, 89 / 64.F, -89 / 32.F, -.25F, .5F, 0},
      {0, -.75F, -1, 63 / 16.F, 5.25F, -63 / 16.F, -5.25F, .75F, 1, 0},
      {0, .75F, -1, -63 / 16.F, 5.25F, 63 / 16.F, -5.25F, -.75F, 1, 0},
      {0, 9 / 32.F, 0, -253 / 128.F, 0, 525 / 128.F, 0, -93 / 32.F, 0, .5F},
  };
  static constexpr float kWeights[10][5] = {
      {32 / 9.F, 0, 0, 0, 0},
      {-32 / 63.F, -32 / 63.F, -32 / 63.F, -32 / 63.F, -32 / 63.F},
      {-32 / 63.F, 32 / 63.F, -32 / 63.F, 32 / 63.F, -32 / 63.F},
      {8 / 2475.F, 16 / 2475.F, 32 / 2475.F, 64 / 2475.F, 128 / 2475.F},
      {8 / 2475.F, -16 / 2475.F, 32 / 2475.F, -64 / 2475.F, 128 / 2475.F},
      {-1024 / 225.F, -512 / 225.F, -256 / 225.F, -128 / 225.F, -64 / 225.F},
      {-1024 / 225.F, 512 / 225.F, -256 / 225.F, 128 / 225.F, -64 / 225.F},
      {32768 / 17325.F, 8192 / 5775.F, 2048 / 1925.F, 1536 / 1925.F, 1152 / 1925.F},
      {32768 / 17325.F, -8192 / 5775.F, 2048 / 1925.F, -1536 / 1925.F, 1152 / 1925.F},
      {0, 0, 0, 0, 2},
  };
  static constexpr float kOutput[6][10] = {
      {1, 1, 1, 1, 1, 1, 1, 1, 1, 0},
      {0, 1, -1, 2, -2, .5F, -.5F, .75F, -.75F, 0},
      {0, 1, 1, 4, 4, .25F, .25F, .5625F, .5625F, 0},
      {0, 1, -1, 8, -8, .125F, -.125F, 27 / 64.F, -27 / 64.F, 0},
      {0, 1, 1, 16, 16, .0625F, .0625F, 81 / 256.F, 81 / 256.F, 0},
      {0, 1, -1, 32, -32, .03125F, -.03125F, 243 / 1024.F, -243 / 1024.F, 1},
  };
};

// An axis that the kernel does not reach along.
struct F11 {
  static constexpr int kOutputs = 1, kTaps = 1, kPoints = 1;
  static constexpr float kInput[1][1] = {{1}}, kWeights[1][1] = {{1}}, kOutput[1][1] = {{1}};
};

}  // namespace
}  // namespace mindvoxel::winograd
