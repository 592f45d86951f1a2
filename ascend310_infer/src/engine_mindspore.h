// The engine of load_mindspore on any device of the runtime; compiled where MindSpore is there.
#pragma once

#include <memory>
#include <string>

#include "bundle.h"
#include "engine.h"
#include "include/api/context.h"

namespace mindvoxel {

/// model.mindir on the device of `context`, which messages call `device`; tests give a CPU's.  It has computed a window
/// of zeros before it returns.
///
/// Throws InputError where the runtime cannot load or compute it, where its tensors are not those of the bundle, or
/// where its answer is not finite.
std::unique_ptr<Engine> load_mindspore_on(const Bundle& bundle, const std::shared_ptr<mindspore::Context>& context,
                                          const std::string& device);

}  // namespace mindvoxel
