#include "stop.h"

#include <csignal>

namespace mindvoxel {
namespace {

volatile std::sig_atomic_t noted = 0;

extern "C" void note(int number) { noted = number; }

}  // namespace

void note_signals() {
  struct sigaction action {};
  action.sa_handler = note;
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  std::signal(SIGXFSZ, SIG_IGN);  // a file above the limit of its size is an error of the write
  std::signal(SIGPIPE, SIG_IGN);  // as is a reader of the table that has gone; report.json comes after it
}

void stop_if_told() {
  if (noted != 0) throw Stopped(noted);
}

}  // namespace mindvoxel
