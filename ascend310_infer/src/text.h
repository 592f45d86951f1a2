// Sentences put together from parts.
#pragma once

#include <algorithm>
#include <cstddef>
#include <sstream>
#include <string>
#include <vector>

namespace mindvoxel {

/// All parts one after the other, as << writes them.
template <typename... Parts>
std::string text(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

/// Values with `between` them, as << writes each.
template <typename Values>
std::string joined(const Values& values, const char* between) {
  std::ostringstream out;
  const char* before = "";
  for (const auto& value : values) {
    out << before << value;
    before = between;
  }
  return out.str();
}

/// "(1, 2, 3)".
template <typename Values>
std::string in_brackets(const Values& values) {
  return "(" + joined(values, ", ") + ")";
}

/// At most five names, then how many more there are.
inline std::string some_of(std::vector<std::string> names) {
  constexpr std::size_t kMost = 5;
  const std::size_t count = names.size();
  names.resize(std::min(count, kMost));
  return joined(names, ", ") + (count > kMost ? text(" and ", count - kMost, " more") : "");
}

/// The words of a message, which may be another's, without its line breaks.
inline std::string one_line(const std::string& message) {
  std::istringstream lines(message);
  std::string all;
  for (std::string line; std::getline(lines, line);) {
    const std::size_t first = line.find_first_not_of(" \t\r");
    if (first == std::string::npos) continue;
    all += (all.empty() ? "" : " ") + line.substr(first, line.find_last_not_of(" \t\r") + 1 - first);
  }
  return all;
}

}  // namespace mindvoxel
