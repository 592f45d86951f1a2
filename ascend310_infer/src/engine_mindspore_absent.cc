// In the place of engine_mindspore.cc where this program is built without MindSpore.
#include "engine.h"
#include "errors.h"

namespace mindvoxel {

std::unique_ptr<Engine> load_mindspore(const Bundle&, const EngineOptions&) {
  throw InputError(
      "--device ascend: this program was built without MindSpore; set MS_LITE_HOME to the folder of MindSpore Lite and "
      "run build.sh again, or choose --device cpu");
}

}  // namespace mindvoxel
