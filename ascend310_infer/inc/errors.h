// What ends a command: each message is one sentence that says what was found, where, what is needed, what to do.
#pragma once

#include <stdexcept>

namespace mindvoxel {

/// The user's input cannot be used; main ends with exit status 2.
class InputError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The work failed although its input was good; main ends with exit status 1.
class WorkError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The runtime of the network failed: no later window would do better.
class EngineError : public WorkError {
 public:
  using WorkError::WorkError;
};

}  // namespace mindvoxel
