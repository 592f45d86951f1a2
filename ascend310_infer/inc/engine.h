// What computes a network: one interface, a file for each runtime.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "bundle.h"

namespace mindvoxel {

/// A loaded network of one bundle.
class Engine {
 public:
  virtual ~Engine() = default;

  /// One window, (C, [D,] H, W) -> logits (K, [D,] H, W), of a photo (K); both float32, contiguous, of the sizes that
  /// the bundle names.  Throws EngineError where the runtime fails.
  virtual void run(const float* window, float* logits) = 0;

  /// One line for the log: runtime, its version, device, precision.
  virtual std::string describe() const = 0;
};

struct EngineOptions {
  int device_id = 0;
  std::string precision = "f32";  ///< in which the CPU multiplies: f32 or bf16
  std::size_t threads = 1;
};

/// OpenVINO on the CPU, with model.onnx.  Throws InputError for a precision that the processor lacks, or a model whose
/// tensors are not those of the bundle.
std::unique_ptr<Engine> load_openvino(const Bundle& bundle, const EngineOptions& options);

/// MindSpore on an Ascend 310 or 310P, with model.mindir; it has computed one window before it returns.  Throws
/// InputError where this program was built without it, where there is no such device, or where the chip refuses an
/// operator, which the message names.
std::unique_ptr<Engine> load_mindspore(const Bundle& bundle, const EngineOptions& options);

}  // namespace mindvoxel
