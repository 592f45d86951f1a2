// MindSpore Lite, or a MindSpore with C++ API, on an Ascend.
#include "engine_mindspore.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <utility>
#include <vector>

#include "errors.h"
#include "include/api/model.h"
#include "include/api/serialization.h"
#include "runtime_log.h"
#include "text.h"

namespace mindvoxel {
namespace {

using mindspore::MSTensor;

// The two runtimes have one API; these are their two differences.
#ifdef MINDVOXEL_LITE
constexpr char kRuntime[] = "MindSpore Lite";

mindspore::Status build(mindspore::Model& model, const std::string& file,
                        const std::shared_ptr<mindspore::Context>& context) {
  return model.Build(file, mindspore::kMindIR, context);
}

/// The input, in the caller's memory.
MSTensor input_tensor(mindspore::Model& model, const float* window) {
  MSTensor input = model.GetInputs().at(0);
  input.SetData(const_cast<float*>(window), false);  // NOLINT: the API knows no const; nothing writes there
  return input;
}
#else
constexpr char kRuntime[] = "MindSpore";

mindspore::Status build(mindspore::Model& model, const std::string& file,
                        const std::shared_ptr<mindspore::Context>& context) {
  mindspore::Graph graph;
  const mindspore::Status loaded = mindspore::Serialization::Load(file, mindspore::kMindIR, &graph);
  if (loaded.IsError()) return loaded;
  return model.Build(mindspore::GraphCell(graph), context);
}

/// The input, copied.
MSTensor input_tensor(mindspore::Model& model, const float* window) {
  const MSTensor input = model.GetInputs().at(0);
  return MSTensor(input.Name(), input.DataType(), input.Shape(), window, input.DataSize());
}
#endif

std::string runtime_name() {
  const std::string version = mindspore::Version();
  return version.empty() ? kRuntime : std::string(kRuntime) + " " + version;
}

class MindSporeEngine : public Engine {
 public:
  MindSporeEngine(std::unique_ptr<mindspore::Model> model, const Bundle& bundle, std::string description)
      : model_(std::move(model)),
        output_bytes_(num_values(bundle.output_shape) * sizeof(float)),
        description_(std::move(description)) {}

  void run(const float* window, float* logits) override {
    try {
      predict(window, logits);
    } catch (const std::exception& error) {
      throw EngineError(text(kRuntime, " failed in the network (", error.what(), "); GLOG_v=2 shows its own log"));
    }
  }

  /// run(), with the bare words of the runtime where it fails.
  void predict(const float* window, float* logits) {
    std::vector<MSTensor> outputs;
    const mindspore::Status status = model_->Predict({input_tensor(*model_, window)}, &outputs);
    if (status.IsError()) throw WorkError(status.ToString());
    if (outputs.size() != 1 || outputs[0].DataSize() != output_bytes_) throw WorkError("an output of another size");
    const std::shared_ptr<const void> answer = outputs[0].Data();
    if (answer == nullptr) throw WorkError("an output without data");
    std::memcpy(logits, answer.get(), output_bytes_);
  }

  std::string describe() const override { return description_; }

 private:
  std::unique_ptr<mindspore::Model> model_;
  std::size_t output_bytes_;
  std::string description_;
};

/// One float32 tensor of that shape, or a sentence.
void check_tensors(const std::vector<MSTensor>& tensors, const char* what, const std::vector<std::int64_t>& shape,
                   const Bundle& bundle) {
  const std::string file = bundle.mindir().string();
  if (tensors.size() != 1) {
    throw InputError(file + " has " + std::to_string(tensors.size()) + " " + what +
                     " tensors, and one is needed; export the bundle again");
  }
  const bool is_float32 = tensors[0].DataType() == mindspore::DataType::kNumberTypeFloat32;
  if (!is_float32 || tensors[0].Shape() != shape) {
    throw InputError(file + ": its " + what + " is " + (is_float32 ? "float32 " : "not float32, ") +
                     in_brackets(tensors[0].Shape()) + ", and by deploy.json float32 " + in_brackets(shape) +
                     "; export the bundle again");
  }
}

/// Whatever the runtime does or prints for its failure, as one text; "" where `work` succeeded.
std::string failure_of(const std::function<mindspore::Status()>& work) {
  std::string reason;
  bool failed = false;
  const std::string log = captured([&] {
    try {
      const mindspore::Status status = work();
      failed = status.IsError();
      reason = status.ToString();
    } catch (const std::exception& error) {
      failed = true;
      reason = error.what();
    }
  });
  return failed ? load_failure(log, reason) : "";
}

}  // namespace

std::unique_ptr<Engine> load_mindspore_on(const Bundle& bundle, const std::shared_ptr<mindspore::Context>& context,
                                          const std::string& device) {
  const std::string file = bundle.mindir().string();
  const auto fail = [&](const std::string& reason) -> InputError {
    return InputError(runtime_name() + " cannot run " + file + " on " + device + ": " + reason +
                      "; --fallback cpu takes the CPU in its place, GLOG_v=2 shows the runtime's own log");
  };
  auto model = std::make_unique<mindspore::Model>();
  std::string reason = failure_of([&] { return build(*model, file, context); });
  if (!reason.empty()) throw fail(reason);
  check_tensors(model->GetInputs(), "input", bundle.input_shape, bundle);
  check_tensors(model->GetOutputs(), "output", bundle.output_shape, bundle);
  auto engine = std::make_unique<MindSporeEngine>(std::move(model), bundle, runtime_name() + ", " + device);
  const std::vector<float> zeros(num_values(bundle.input_shape), 0.0F);
  std::vector<float> logits(num_values(bundle.output_shape));
  reason = failure_of([&] {
    engine->predict(zeros.data(), logits.data());
    return mindspore::Status::OK();
  });
  if (!reason.empty()) throw fail(reason);
  if (!std::all_of(logits.begin(), logits.end(), [](float value) { return std::isfinite(value); })) {
    throw fail("a window of zeros is answered by values that are not finite, so its precision does not carry them");
  }
  return engine;
}

std::unique_ptr<Engine> load_mindspore(const Bundle& bundle, const EngineOptions& options) {
  if (options.device_id < 0)
    throw InputError("--device_id must be 0 or more, got " + std::to_string(options.device_id));
  // CANN names the operators that it refuses in its own log, which goes into files unless it is told otherwise
  setenv("ASCEND_SLOG_PRINT_TO_STDOUT", "1", 0);
  const auto info = std::make_shared<mindspore::AscendDeviceInfo>();
  info->SetDeviceID(static_cast<std::uint32_t>(options.device_id));
#ifdef MINDVOXEL_LITE
  // float16 where the chip has nothing wider (its convolutions), float32 elsewhere (normalisation)
  info->SetPrecisionMode("preferred_fp32");
#endif
  const auto context = std::make_shared<mindspore::Context>();
  context->MutableDeviceInfo().push_back(info);
  return load_mindspore_on(bundle, context, "Ascend device " + std::to_string(options.device_id));
}

}  // namespace mindvoxel
