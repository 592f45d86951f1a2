// The stream of planes against a plain sum over the whole image in memory.
#include "stream.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "errors.h"
#include "windows.h"

namespace mindvoxel {
namespace {

/// Logits that differ by class, by voxel value, and by the place in the window: a mirror that is not undone shows.
class FakeNetwork : public Engine {
 public:
  FakeNetwork(std::size_t channels, std::size_t num_classes, std::size_t voxels)
      : channels_(channels), num_classes_(num_classes), voxels_(voxels) {}

  void run(const float* window, float* logits) override {
    ++calls;
    for (std::size_t k = 0; k < num_classes_; ++k) {
      for (std::size_t i = 0; i < voxels_; ++i) {
        float sum = 0.1f * static_cast<float>(k * i % 17);
        for (std::size_t c = 0; c < channels_; ++c) sum += static_cast<float>(k + 1 + c) * window[c * voxels_ + i];
        logits[k * voxels_ + i] = sum;
      }
    }
  }

  std::string describe() const override { return "a fake"; }

  std::size_t calls = 0;

 private:
  const std::size_t channels_, num_classes_, voxels_;
};

Image some_image(std::size_t channels, const Shape& shape) {
  Image image;
  image.channels = channels;
  image.shape = shape;
  for (std::size_t i = 0; i < channels * num_voxels(shape); ++i) {
    image.voxels.push_back(static_cast<float>(i * 7919 % 101) / 50 - 1);
  }
  return image;
}

std::size_t index_of(const Shape& shape, std::size_t z, std::size_t y, std::size_t x) {
  return (z * shape[1] + y) * shape[2] + x;
}

/// One voxel's values as they are averaged.
std::vector<double> averaged(std::vector<double> logits, const std::string& average) {
  if (average == "logits") return logits;
  if (average == "foreground") return {1 / (1 + std::exp(logits[0] - logits[1]))};
  double sum = 0;
  for (double& one : logits) sum += one = std::exp(one);
  for (double& one : logits) one /= sum;
  return logits;
}

/// What stream_planes should give, (D, K, H, W), in doubles and without a thought for memory.
std::vector<double> plain_mean(const Image& image, Engine& engine, const Streaming& how) {
  const Shape box = how.sliding.box(), padded = padded_shape(image.shape, how.sliding);
  Shape front{};
  for (std::size_t a = 0; a < 3; ++a) front[a] = (padded[a] - image.shape[a]) / 2;
  const std::size_t num = how.num_planes(), voxels = num_voxels(box);
  const std::vector<float> weight = blend_weight(box, how.sliding.blend);
  std::vector<double> total(num * num_voxels(padded)), norm(num_voxels(padded));
  const std::vector<std::size_t> axes = how.mirrored ? how.sliding.tta_axes : std::vector<std::size_t>{};
  for (const Shape& start : window_boxes(padded, box, how.sliding.overlap, how.sliding.spread)) {
    for (const auto& flip : flips(axes, how.sliding.window.size())) {
      std::vector<float> window(image.channels * voxels), logits(how.num_classes * voxels);
      std::vector<std::size_t> places(voxels);
      for (std::size_t i = 0; i < voxels; ++i) {
        Shape at{i / (box[1] * box[2]), i / box[2] % box[1], i % box[2]};
        for (std::size_t a = 0; a < 3; ++a) at[a] = start[a] + (flip[a] ? box[a] - 1 - at[a] : at[a]);
        places[i] = index_of(padded, at[0], at[1], at[2]);
        bool inside = true;
        for (std::size_t a = 0; a < 3; ++a) inside = inside && at[a] >= front[a] && at[a] - front[a] < image.shape[a];
        for (std::size_t c = 0; c < image.channels; ++c) {
          window[c * voxels + i] =
              inside ? image.channel(c)[index_of(image.shape, at[0] - front[0], at[1] - front[1], at[2] - front[2])]
                     : how.sliding.pad_value;
        }
      }
      engine.run(window.data(), logits.data());
      for (std::size_t i = 0; i < voxels; ++i) {
        std::vector<double> values;
        for (std::size_t k = 0; k < how.num_classes; ++k) values.push_back(logits[k * voxels + i]);
        values = averaged(values, how.sliding.average);
        const std::size_t p = places[i];
        // the weight lies in the image, not in the mirrored window
        const Shape at{p / (padded[1] * padded[2]), p / padded[2] % padded[1], p % padded[2]};
        const double w = weight[index_of(box, at[0] - start[0], at[1] - start[1], at[2] - start[2])];
        for (std::size_t k = 0; k < num; ++k) total[k * num_voxels(padded) + p] += w * values[k];
        norm[p] += w;
      }
    }
  }
  std::vector<double> mean;
  for (std::size_t z = 0; z < image.shape[0]; ++z) {
    for (std::size_t k = 0; k < num; ++k) {
      for (std::size_t y = 0; y < image.shape[1]; ++y) {
        for (std::size_t x = 0; x < image.shape[2]; ++x) {
          const std::size_t p = index_of(padded, z + front[0], y + front[1], x + front[2]);
          mean.push_back(total[k * num_voxels(padded) + p] / norm[p]);
        }
      }
    }
  }
  return mean;
}

Sliding sliding_of(std::vector<std::size_t> window, const char* blend, const char* average) {
  Sliding sliding;
  sliding.window = std::move(window);
  sliding.blend = blend;
  sliding.average = average;
  return sliding;
}

void expect_plain_mean(const Image& image, const Streaming& how, std::size_t num_calls) {
  const std::size_t voxels = num_voxels(how.sliding.box());
  FakeNetwork network(image.channels, how.num_classes, voxels);
  std::vector<float> found;
  const std::size_t plane_size = how.num_planes() * image.shape[1] * image.shape[2];
  stream_planes(image, network, how, [&](const float* plane) { found.insert(found.end(), plane, plane + plane_size); });
  EXPECT_EQ(network.calls, num_calls);
  const std::vector<double> expected = plain_mean(image, network, how);
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) ASSERT_NEAR(found[i], expected[i], 2e-5) << "value " << i;
}

TEST(StreamPlanes, AnisotropicOddSizesMirroredAndThreaded) {
  Sliding sliding = sliding_of({4, 6, 5}, "nnunet", "logits");
  sliding.tta_axes = {0, 1, 2};
  std::size_t ticks = 0;
  for (const std::size_t threads : {1u, 3u}) {
    expect_plain_mean(some_image(1, {9, 7, 12}), {sliding, 3, true, threads, [&] { ++ticks; }}, 4 * 2 * 4 * 8);
  }
  EXPECT_EQ(ticks, 2u * 4 * 2 * 4 * 8);
}

TEST(StreamPlanes, AnImageSmallerThanTheWindowIsPaddedOnBothSides) {
  Sliding sliding = sliding_of({6, 5, 4}, "gaussian", "logits");
  sliding.pad_value = 7;
  expect_plain_mean(some_image(2, {3, 4, 9}), {sliding, 2, false, 2, [] {}}, 4);
}

TEST(StreamPlanes, A2dNetworkGoesSliceBySlice) {
  Sliding sliding = sliding_of({4, 5}, "constant", "logits");
  sliding.overlap = 0.25;
  sliding.spread = false;
  sliding.tta_axes = {1};
  expect_plain_mean(some_image(2, {3, 7, 6}), {sliding, 4, true, 2, [] {}}, 3 * 2 * 2 * 2);
}

TEST(StreamPlanes, ProbabilitiesAreTheSoftmax) {
  expect_plain_mean(some_image(1, {5, 4, 6}), {sliding_of({3, 4, 4}, "nvidia", "probabilities"), 3, false, 2, [] {}},
                    6);
}

TEST(StreamPlanes, ForegroundIsTheProbabilityOfClassOne) {
  Sliding sliding = sliding_of({3, 4, 4}, "gaussian", "foreground");
  sliding.tta_axes = {2};
  expect_plain_mean(some_image(1, {5, 4, 6}), {sliding, 2, true, 2, [] {}}, 12);
}

class Infinite : public Engine {
 public:
  void run(const float*, float* logits) override {
    std::fill_n(logits, 2 * 8, 1.0f);
    logits[6] = std::numeric_limits<float>::infinity();
  }
  std::string describe() const override { return "infinite"; }
};

TEST(StreamPlanes, AnAnswerThatIsNotFiniteIsToldByItsPlane) {
  const Sliding sliding = sliding_of({2, 2, 2}, "constant", "logits");
  Infinite network;
  std::size_t planes = 0;
  try {
    stream_planes(some_image(1, {2, 2, 2}), network, {sliding, 2, false, 1, [] {}}, [&](const float*) { ++planes; });
    FAIL() << "no error";
  } catch (const WorkError& error) {
    EXPECT_NE(std::string(error.what()).find("plane 2 of 2"), std::string::npos) << error.what();
  }
  EXPECT_EQ(planes, 1u);
}

}  // namespace
}  // namespace mindvoxel
