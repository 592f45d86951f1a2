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

struct Mean {
  std::vector<double> total, norm;  ///< (K, D, H, W) and (D, H, W) of the padded image
};

Shape shape_index(const Shape& shape, std::size_t i) {
  return {i / (shape[1] * shape[2]), i / shape[2] % shape[1], i % shape[2]};
}

/// One mirrored window that starts at `start`, voxel by voxel.
void add_plainly(const Image& image, Engine& engine, const Streaming& how, const Shape& start,
                 const std::array<bool, 3>& flip, Mean& mean) {
  const Shape box = how.sliding.box(), padded = padded_shape(image.shape, how.sliding);
  const std::size_t voxels = num_voxels(box);
  const std::vector<float> weight = blend_weight(box, how.sliding.blend);
  std::vector<float> window(image.channels * voxels, how.sliding.pad_value), logits(how.num_classes * voxels);
  std::vector<Shape> places(voxels);  // in the padded image
  for (std::size_t i = 0; i < voxels; ++i) {
    Shape at = shape_index(box, i), inner{};
    bool inside = true;
    for (std::size_t a = 0; a < 3; ++a) {
      at[a] = start[a] + (flip[a] ? box[a] - 1 - at[a] : at[a]);
      inner[a] = at[a] - (padded[a] - image.shape[a]) / 2;  // wraps around in front of the image
      inside = inside && inner[a] < image.shape[a];
    }
    places[i] = at;
    for (std::size_t c = 0; inside && c < image.channels; ++c) {
      window[c * voxels + i] = image.channel(c)[index_of(image.shape, inner[0], inner[1], inner[2])];
    }
  }
  engine.run(window.data(), logits.data());
  for (std::size_t i = 0; i < voxels; ++i) {
    const Shape& at = places[i];
    std::vector<double> values;
    for (std::size_t k = 0; k < how.num_classes; ++k) values.push_back(logits[k * voxels + i]);
    values = averaged(values, how.sliding.average);
    // the weight lies in the image, not in the mirrored window
    const double w = weight[index_of(box, at[0] - start[0], at[1] - start[1], at[2] - start[2])];
    const std::size_t p = index_of(padded, at[0], at[1], at[2]);
    for (std::size_t k = 0; k < values.size(); ++k) mean.total[k * num_voxels(padded) + p] += w * values[k];
    mean.norm[p] += w;
  }
}

/// What stream_planes should give, (D, K, H, W), in doubles and without a thought for memory.
std::vector<double> plain_mean(const Image& image, Engine& engine, const Streaming& how) {
  const Shape padded = padded_shape(image.shape, how.sliding);
  const std::size_t num = how.num_planes(), size = num_voxels(padded);
  Mean mean{std::vector<double>(num * size), std::vector<double>(size)};
  const std::vector<std::size_t> axes = how.mirrored ? how.sliding.tta_axes : std::vector<std::size_t>{};
  for (const Shape& start : window_boxes(padded, how.sliding.box(), how.sliding.overlap, how.sliding.spread)) {
    for (const auto& flip : flips(axes, how.sliding.window.size())) {
      add_plainly(image, engine, how, start, flip, mean);
    }
  }
  std::vector<double> planes;
  const std::size_t plane_size = image.shape[1] * image.shape[2];
  for (std::size_t i = 0; i < image.shape[0] * num * plane_size; ++i) {
    const Shape at = shape_index(image.shape, i / (num * plane_size) * plane_size + i % plane_size);
    const std::size_t k = i / plane_size % num;
    const std::size_t p = index_of(padded, at[0] + (padded[0] - image.shape[0]) / 2,
                                   at[1] + (padded[1] - image.shape[1]) / 2, at[2] + (padded[2] - image.shape[2]) / 2);
    planes.push_back(mean.total[k * size + p] / mean.norm[p]);
  }
  return planes;
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

/// One logit of one class in the second plane is `value`.
class Infinite : public Engine {
 public:
  Infinite(std::size_t klass, float value) : klass_(klass), value_(value) {}
  void run(const float*, float* logits) override {
    std::fill_n(logits, 2 * 8, 1.0f);
    logits[klass_ * 8 + 6] = value_;
  }
  std::string describe() const override { return "infinite"; }

 private:
  const std::size_t klass_;
  const float value_;
};

void expect_told(const char* average, std::size_t klass, float value) {
  const Sliding sliding = sliding_of({2, 2, 2}, "constant", average);
  Infinite network(klass, value);
  std::size_t planes = 0;
  try {
    stream_planes(some_image(1, {2, 2, 2}), network, {sliding, 2, false, 1, [] {}}, [&](const float*) { ++planes; });
    ADD_FAILURE() << average << ", class " << klass << ", " << value << ": no error";
  } catch (const WorkError& error) {
    EXPECT_NE(std::string(error.what()).find("plane 2 of 2"), std::string::npos) << error.what();
  }
  EXPECT_EQ(planes, 1u);
}

TEST(StreamPlanes, AnAnswerThatIsNotFiniteIsToldByItsPlane) {
  constexpr float infinite = std::numeric_limits<float>::infinity();
  for (const char* average : {"logits", "probabilities", "foreground"}) {
    for (const float value : {infinite, -infinite, std::numeric_limits<float>::quiet_NaN()}) {
      for (const std::size_t klass : {0u, 1u}) expect_told(average, klass, value);
    }
  }
}

}  // namespace
}  // namespace mindvoxel
