// In the place of engine_openvino.cc where this program is built without OpenVINO.
#include "engine.h"
#include "errors.h"

namespace mindvoxel {

std::unique_ptr<Engine> load_openvino(const Bundle&, const EngineOptions&) {
  throw InputError(
      "--device cpu: this program was built without OpenVINO; pip install openvino and run build.sh again, or choose "
      "--device ascend");
}

}  // namespace mindvoxel
