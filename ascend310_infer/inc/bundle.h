// A deployment bundle: deploy.json and the files that it names.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "volume.h"

namespace mindvoxel {

/// Of a tensor of this shape, whose sizes are above 0.
inline std::size_t num_values(const std::vector<std::int64_t>& shape) {
  std::size_t product = 1;
  for (const std::int64_t n : shape) product *= static_cast<std::size_t>(n);
  return product;
}

/// How one channel's intensities are scaled: ct, zscore, zscore_mask, rescale, rgb or none (data/normalize.py).
struct Normalization {
  std::string scheme;
  float low = 0, high = 0, mean = 0, sd = 1;  ///< of ct alone: the clip, then (x - mean) / sd
};

/// From a photo to what a classifier sees: shorter side resized, square in the middle, (x - mean) / sd, x of 0 to 255
/// (data/photos.py).
struct PhotoForm {
  std::size_t short_side = 0, size = 0;      ///< pixels; of the resized photo, and of the square
  std::array<float, 3> mean{}, sd{1, 1, 1};  ///< red, green, blue
};

/// From a scan, or a photo, to what the network sees.
struct Preprocessing {
  /// "planned": permute axes, crop, normalise, resample by a plan (data/preprocess.py);
  /// "scan": V-Net's way (data/prepare.py);
  /// "photo": a classifier's, by `photo` alone.
  std::string way;
  PhotoForm photo;
  std::array<std::size_t, 3> axes{0, 1, 2};  ///< planned: network axis i is scan axis axes[i] of (z, y, x)
  std::vector<double> spacing_mm;            ///< network axes; 2 values: the first axis stays; none: all stay
  std::string crop;                          ///< planned: nonzero or positive
  std::string order;                         ///< planned: normalize_resample or resample_normalize
  std::vector<Normalization> normalization;  ///< planned: one a channel
  std::string rounding;                      ///< planned: round or floor, of the new shape
  std::string anisotropy;                    ///< planned: above_3 or from_3
  Shape min_shape{1, 1, 1};                  ///< scan: at least so many voxels after resampling
  bool centre_crop = false;                  ///< scan: the min_shape in the middle alone, of the published grid
  std::string image_interpolation;           ///< planned: cubic; scan: linear
  std::string logits_interpolation;          ///< planned: linear
  std::string restore_order;                 ///< scan: linear or nearest, of the probability's way back
};

/// How windows slide, and how their answers are averaged (inference/stream.py).
struct Sliding {
  std::vector<std::size_t> window;  ///< (D, H, W); two values: (H, W), slice by slice
  double overlap = 0.5;
  bool spread = true;   ///< evenly (nnU-Net), else by a fixed step (NVIDIA)
  std::string blend;    ///< gaussian, nnunet, nvidia or constant
  std::string average;  ///< logits, probabilities, or foreground (V-Net: the probability of class 1)
  float pad_value = 0;
  std::vector<std::size_t> tta_axes;  ///< of the window, that --tta mirrors
  bool validated_with_tta = false;

  /// The window in 3-D; of a 2-D network one slice.
  Shape box() const;
};

/// Of each group of label values, taken together, only the largest component stays.
struct Postprocessing {
  std::vector<std::vector<std::int16_t>> keep_largest;
  int neighbours = 26;  ///< 6: voxels that share a face are connected; 26: or an edge or a corner
};

struct Bundle {
  std::filesystem::path folder;
  std::string model;
  std::vector<std::string> channels;
  std::vector<std::int16_t> label_values;  ///< value of each class; of a segmentation the first is the background
  std::vector<std::string> label_names;
  std::string input_name, output_name;        ///< of the network's tensors in model.onnx
  std::vector<std::int64_t> input_shape;      ///< (1, C, [D,] H, W)
  std::vector<std::int64_t> output_shape;     ///< (1, K, [D,] H, W); of a classifier (1, K)
  std::optional<Spacing> default_spacing_mm;  ///< of images that know none
  Preprocessing preprocessing;
  Sliding sliding;                ///< not of a classifier
  Postprocessing postprocessing;  ///< not of a classifier

  /// Whether it tells the class of a photo; else it segments scans.
  bool classifies() const { return preprocessing.way == "photo"; }
  std::size_t num_classes() const { return label_values.size(); }
  std::filesystem::path onnx() const { return folder / "model.onnx"; }
  std::filesystem::path mindir() const { return folder / "model.mindir"; }
  std::filesystem::path reference_image() const {
    return folder / "reference" / (classifies() ? "image.png" : "image.nii.gz");
  }
  /// What the exported checkpoint found in it: labels, or the likeliest classes.
  std::filesystem::path reference_answer() const {
    return folder / "reference" / (classifies() ? "predictions.csv" : "labels.nii.gz");
  }
};

/// Read deploy.json and compare the size and SHA-256 of every file that it lists.
///
/// Throws InputError where a file is missing or changed, a key is missing or of another type, or the version is new.
Bundle read_bundle(const std::filesystem::path& folder);

}  // namespace mindvoxel
