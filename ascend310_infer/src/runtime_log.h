// What MindSpore and CANN say of a failure: their API returns "Common error code.", the cause is in what they print.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace mindvoxel {

/// All that this process prints, on both outputs, while `work` runs; nothing of it is shown.  Where GLOG_v is 0, 1 or
/// 2, by which a user of MindSpore asks for warnings and more, all is shown as it comes, even of a runtime that crashes
/// or hangs, and nothing is held.
///
/// An exception of `work` passes.  Throws WorkError where the outputs cannot be turned aside.
std::string captured(const std::function<void()>& work);

/// Types of the operators for which the log says that there is no kernel, each once, in their order.
std::vector<std::string> refused_operators(const std::string& log);

/// Why a network could not be loaded, as a part of a sentence: operators, the file's version, the device, or else the
/// first error of the log, or else the first line of `status`, which is what the API returned or threw.
std::string load_failure(const std::string& log, const std::string& status);

}  // namespace mindvoxel
