// Sentences put together from parts.
#pragma once

#include <sstream>
#include <string>

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

}  // namespace mindvoxel
