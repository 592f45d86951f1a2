// OpenVINO on the CPU.
#include <algorithm>
#include <cstdlib>
#include <openvino/core/model.hpp>
#include <openvino/core/version.hpp>
#include <openvino/frontend/manager.hpp>
#include <openvino/runtime/core.hpp>
#include <openvino/runtime/properties.hpp>
#include <utility>

#include "cpu_fusion.h"
#include "cpu_library.h"
#include "engine.h"
#include "errors.h"
#include "text.h"

namespace mindvoxel {
namespace {

class OpenVinoEngine : public Engine {
 public:
  OpenVinoEngine(ov::CompiledModel model, const Bundle& bundle, std::string description)
      : model_(std::move(model)),
        request_(model_.create_infer_request()),
        input_shape_(bundle.input_shape.begin(), bundle.input_shape.end()),
        output_shape_(bundle.output_shape.begin(), bundle.output_shape.end()),
        description_(std::move(description)) {}

  void run(const float* window, float* logits) override {
    try {
      // both wrap the caller's memory: nothing is copied, and nothing writes to the window
      request_.set_input_tensor(ov::Tensor(ov::element::f32, input_shape_, const_cast<float*>(window)));
      request_.set_output_tensor(ov::Tensor(ov::element::f32, output_shape_, logits));
      request_.infer();
    } catch (const std::exception& error) {
      throw EngineError(text("OpenVINO failed in the network (", error.what(), "); is there enough memory for it?"));
    }
  }

  std::string describe() const override { return description_; }

 private:
  ov::CompiledModel model_;
  ov::InferRequest request_;
  ov::Shape input_shape_, output_shape_;
  std::string description_;
};

/// By the reader of ONNX alone: for a file that is none Core::read_model would ask every other reader, some of which
/// write to standard error.
std::shared_ptr<ov::Model> read_onnx(const Bundle& bundle) {
  ov::frontend::FrontEndManager readers;
  const auto reader = readers.load_by_framework("onnx");
  if (!reader) throw std::runtime_error("its reader of ONNX is not installed");
  return reader->convert(reader->load(bundle.onnx().string()));
}

/// One float32 tensor of that name and shape, or a sentence.
void check_port(const std::vector<ov::Output<ov::Node>>& ports, const char* what, const std::string& name,
                const std::vector<std::int64_t>& shape, const Bundle& bundle) {
  const std::string file = bundle.onnx().string();
  if (ports.size() != 1 || ports[0].get_names().count(name) == 0) {
    throw InputError(file + " has no single " + what + " tensor named " + name +
                     ", which deploy.json names; export the bundle again");
  }
  const ov::PartialShape wanted(std::vector<ov::Dimension>(shape.begin(), shape.end()));
  const ov::PartialShape& found = ports[0].get_partial_shape();
  if (ports[0].get_element_type() != ov::element::f32 || found != wanted) {
    throw InputError(file + ": the tensor " + name + " is " + ports[0].get_element_type().get_type_name() + " " +
                     found.to_string() + ", and by deploy.json f32 " + in_brackets(shape) +
                     "; export the bundle again");
  }
}

ov::element::Type precision_of(ov::Core& core, const std::string& precision) {
  if (precision == "f32") return ov::element::f32;
  if (precision != "bf16") throw InputError("--precision must be f32 or bf16, got " + precision);
  const std::vector<std::string> able = core.get_property("CPU", ov::device::capabilities);
  if (std::find(able.begin(), able.end(), ov::device::capability::BF16) == able.end()) {
    throw InputError("--precision bf16 needs AVX512-BF16 or AMX, which this processor lacks; choose f32");
  }
  return ov::element::bf16;
}

/// What computes the convolutions, for describe().
struct Convolutions {
  bool are_ours = false;
  std::string description;
};

/// This project's, put into the model, where they are there and the model gains by them; else OpenVINO's.
Convolutions choose_convolutions(const std::shared_ptr<ov::Model>& model, const EngineOptions& options) {
  try {
    const CpuLibrary& ours = cpu_library();
    const bool bf16 = options.precision == "bf16";
    if (bf16 && ours.isa == "amx") throw CpuOperatorsUnused("the processor has AMX for bf16");
    if (!suits_cpu_operators(*model)) {
      throw CpuOperatorsUnused("few of the multiplications are in float32 kernels of 3 or 5 with channels in 16s");
    }
    if (ours.set_bf16(bf16 ? 1 : 0) != 0) throw CpuOperatorsUnused("they know no bf16 on this processor");
    ours.set_threads(static_cast<int>(options.threads));
    ours.keep_weights(1);
    const Replaced count = use_cpu_operators(model);
    return {true, text(count.convolutions, " of ", count.all_convolutions, " convolutions (", count.blocked,
                       " blocked) and ", count.normalisations, " normalisations by MindVoxel, ", ours.isa)};
  } catch (const CpuOperatorsUnused& reason) {
    return {false, text("convolutions by OpenVINO: ", reason.what())};
  }
}

ov::CompiledModel compile(ov::Core& core, const std::shared_ptr<ov::Model>& model, ov::element::Type precision,
                          bool operators_are_ours, const EngineOptions& options) {
  ov::AnyMap settings{ov::hint::inference_precision(operators_are_ours ? ov::element::f32 : precision),
                      ov::hint::performance_mode(ov::hint::PerformanceMode::LATENCY),
                      ov::inference_num_threads(static_cast<std::int32_t>(options.threads))};
  // the operators' threads are children of OpenVINO's: those of a pinned one would share its core
  if (operators_are_ours) settings.insert(ov::hint::enable_cpu_pinning(false));
  return core.compile_model(model, "CPU", settings);
}

}  // namespace

std::unique_ptr<Engine> load_openvino(const Bundle& bundle, const EngineOptions& options) {
  // a limit that MindSpore's own CPU kernels need, and that OpenVINO's oneDNN would obey, too
  unsetenv("ONEDNN_MAX_CPU_ISA");
  try {
    ov::Core core;
    const ov::element::Type precision = precision_of(core, options.precision);
    const auto model = read_onnx(bundle);
    check_port(model->inputs(), "input", bundle.input_name, bundle.input_shape, bundle);
    check_port(model->outputs(), "output", bundle.output_name, bundle.output_shape, bundle);
    const Convolutions convolutions = choose_convolutions(model, options);
    auto compiled = compile(core, model, precision, convolutions.are_ours, options);
    const std::string build = ov::get_openvino_version().buildNumber;  // 2026.4.1-22982-...
    const std::string description =
        text("OpenVINO ", build.substr(0, build.find('-')), ", ", core.get_property("CPU", ov::device::full_name), ", ",
             options.precision, ", ", options.threads, options.threads == 1 ? " thread; " : " threads; ",
             convolutions.description);
    return std::make_unique<OpenVinoEngine>(std::move(compiled), bundle, description);
  } catch (const InputError&) {
    throw;
  } catch (const std::exception& error) {
    throw InputError(bundle.onnx().string() + ": OpenVINO cannot load it (" + error.what() +
                     "); export the bundle again");
  }
}

}  // namespace mindvoxel
