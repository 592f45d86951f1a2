#include "runtime_log.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <regex>
#include <sstream>

#include "errors.h"
#include "text.h"

namespace mindvoxel {
namespace {

[[noreturn]] void cannot_capture() {
  throw WorkError(std::string("the runtime's log cannot be read (") + std::strerror(errno) +
                  "); are too many files open?");
}

void flush_outputs() {
  std::cout.flush();
  std::cerr.flush();
  std::fflush(nullptr);
}

/// Both outputs of the process go into a file in memory while this lives.
class Redirection {
 public:
  Redirection() : file_(memfd_create("runtime-log", MFD_CLOEXEC)) {
    if (file_ < 0) cannot_capture();
    flush_outputs();
    for (std::size_t i = 0; i < kOutputs.size(); ++i) {
      saved_[i] = dup(kOutputs[i]);
      if (saved_[i] < 0 || dup2(file_, kOutputs[i]) < 0) {
        restore();
        cannot_capture();
      }
    }
  }
  Redirection(const Redirection&) = delete;
  Redirection& operator=(const Redirection&) = delete;
  ~Redirection() { restore(); }

  /// Give the outputs back, and return what was printed.
  std::string stop() {
    flush_outputs();
    std::string text;
    std::array<char, 4096> part{};
    off_t at = 0;
    ssize_t count = 0;
    while ((count = pread(file_, part.data(), part.size(), at)) > 0) {
      text.append(part.data(), static_cast<std::size_t>(count));
      at += count;
    }
    restore();
    return text;
  }

 private:
  void restore() {
    flush_outputs();
    for (std::size_t i = 0; i < kOutputs.size(); ++i) {
      if (saved_[i] >= 0) {
        dup2(saved_[i], kOutputs[i]);
        close(saved_[i]);
        saved_[i] = -1;
      }
    }
    if (file_ >= 0) close(file_);
    file_ = -1;
  }

  static constexpr std::array<int, 2> kOutputs{STDOUT_FILENO, STDERR_FILENO};
  int file_;
  std::array<int, 2> saved_{-1, -1};
};

/// What stands behind "[file.cc:1] Function] " in a line of MindSpore's log; the line itself where it is of no such
/// form.
std::string message_of(const std::string& line) {
  static const std::regex place(R"(\[[^\[\]]*\.(?:cc|cpp|h):\d+\] [^\]]*\] ?)");
  std::smatch found;
  return std::regex_search(line, found, place) ? found.suffix().str() : line;
}

/// The message of the first line that begins with `level`, without its full stop.
std::string first_message(const std::string& log, const std::string& level) {
  std::istringstream lines(log);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind(level, 0) != 0) continue;
    std::string message = message_of(line);
    while (!message.empty() && (message.back() == '.' || message.back() == ' ')) message.pop_back();
    if (!message.empty()) return message;
  }
  return "";
}

/// Its lines, of each the beginning: std::regex goes one call deeper with every character that it takes.
std::string cut(const std::string& log) {
  constexpr std::size_t kMostBytes = 2000;
  std::istringstream lines(log);
  std::string all;
  for (std::string line; std::getline(lines, line);) all += line.substr(0, kMostBytes) + "\n";
  return all;
}

/// Whether a user of MindSpore asks for its warnings and more.
bool log_is_asked_for() {
  const char* level = std::getenv("GLOG_v");
  return level != nullptr && level[0] >= '0' && level[0] <= '2';
}

}  // namespace

std::string captured(const std::function<void()>& work) {
  if (log_is_asked_for()) {
    work();
    return "";
  }
  Redirection redirection;
  work();
  return redirection.stop();
}

std::vector<std::string> refused_operators(const std::string& printed) {
  const std::string log = cut(printed);
  // CANN's graph engine (EZ3003, EZ3002), MindSpore's way to it, MindSpore Lite on a CPU: the surest form that is there
  static const std::array<std::regex, 4> forms{
      std::regex(R"(No supported Ops kernel and engine are found for \[[^\]\n]*\], optype \[([^\]\n]+)\])"),
      std::regex(R"(Optype \[([^\]\n]+)\] of Ops kernel \[[^\]\n]*\] is unsupported)"),
      std::regex(R"(Can't find OpAdapter for (\w+))"),
      std::regex(R"(Unsupported primitive type in Create: (\w+))"),
  };
  std::vector<std::string> names;
  for (const std::regex& form : forms) {
    for (std::sregex_iterator found(log.begin(), log.end(), form), end; found != end; ++found) {
      const std::string name = (*found)[1];
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
    if (!names.empty()) break;
  }
  return names;
}

std::string load_failure(const std::string& printed, const std::string& status) {
  const std::string log = cut(printed + "\n" + status);
  static const std::regex version(R"(maximum mind ir version: (\d+).*support the mind ir version: (\d+))");
  static const std::regex library(R"(dlopen \S+ failed, error: ([^\s:]+): cannot open shared object file)");
  static const std::regex device(
      R"((Unsupported device target Ascend|Init ascend failed|(?:Acl )?[Oo]pen device \d+ failed|[Aa]cl ?[Ii]nit failed))");
  std::smatch found;
  const std::vector<std::string> refused = refused_operators(log);
  if (!refused.empty()) return "it has no kernel for " + joined(refused, ", ");
  if (std::regex_search(log, found, version)) {
    return "it reads MINDIR up to version " + found[1].str() + " and the file is of version " + found[2].str() +
           ": install the MindSpore Lite of the release that made the file";
  }
  if (std::regex_search(log, found, library)) {
    return "no Ascend device can be used, " + found[1].str() +
           " is not found, of CANN, whose set_env.sh must be sourced, or of the whole package of MindSpore Lite";
  }
  if (std::regex_search(log, found, device)) {
    return "no Ascend device can be used, " + found[1].str() + ": see npu-smi info for the devices";
  }
  for (const char* level : {"[CRITICAL]", "[ERROR]"}) {
    std::string message = first_message(log, level);
    if (!message.empty()) return message;
  }
  return first_message(status, "");
}

}  // namespace mindvoxel
