// Ctrl-C and SIGTERM: the program ends at the next window, with nothing half-written.
#pragma once

#include <stdexcept>

namespace mindvoxel {

/// Not an Input- or WorkError: main ends with exit status 128 + signal.
class Stopped : public std::runtime_error {
 public:
  explicit Stopped(int number) : std::runtime_error("told to end"), signal(number) {}
  const int signal;
};

/// From now on SIGINT and SIGTERM are noted; a second one ends the program at once.  SIGXFSZ and SIGPIPE are ignored:
/// such a write fails.
void note_signals();

/// Throws Stopped where a signal has been noted.
void stop_if_told();

}  // namespace mindvoxel
