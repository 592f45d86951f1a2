// Numbers as messages show them.
#pragma once

#include <sstream>
#include <string>

namespace mindvoxel {

/// "(1, 2, 3)" of any range.
template <typename Range>
std::string in_brackets(const Range& values) {
  std::ostringstream text;
  const char* before = "(";
  for (const auto& value : values) {
    text << before << value;
    before = ", ";
  }
  text << (before[0] == '(' ? "()" : ")");
  return text.str();
}

}  // namespace mindvoxel
