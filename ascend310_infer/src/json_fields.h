// Members of a JSON object by name and type; what does not fit is told in one sentence.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "errors.h"

namespace mindvoxel {

template <typename T>
struct IsVector : std::false_type {};
template <typename T>
struct IsVector<std::vector<T>> : std::true_type {};
template <typename T>
struct IsArray : std::false_type {};
template <typename T, std::size_t N>
struct IsArray<std::array<T, N>> : std::true_type {};

/// An object of a JSON file.  `where`: its place, as "deploy.json: sliding", for messages.
class Fields {
 public:
  /// Throws InputError where the value is no object.
  Fields(const nlohmann::json& object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object_.is_object()) fault(where_, object_, "an object");
  }

  /// Whether the member is there, and is not null.
  bool has(const std::string& name) const {
    const auto found = object_.find(name);
    return found != object_.end() && !found->is_null();
  }

  /// The member as a T: bool, std::string, a whole or a real number, std::vector or std::array of such.
  /// Throws InputError where it lacks, is of another type, or is outside the range of T.
  template <typename T>
  T get(const std::string& name) const {
    return convert<T>(member(name), place(name));
  }

  /// The member, an object.
  Fields object(const std::string& name) const { return Fields(member(name), place(name)); }

  /// The member, an array of objects.
  std::vector<Fields> objects(const std::string& name) const {
    const nlohmann::json& values = member(name);
    if (!values.is_array()) fault(place(name), values, "an array of objects");
    std::vector<Fields> found;
    for (std::size_t i = 0; i < values.size(); ++i) {
      found.emplace_back(values[i], place(name) + "[" + std::to_string(i) + "]");
    }
    return found;
  }

  /// The names of all members.
  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (auto member = object_.begin(); member != object_.end(); ++member) found.push_back(member.key());
    return found;
  }

  /// "deploy.json: sliding.window", for messages.
  std::string place(const std::string& name) const {
    return where_ + (where_.find(": ") == std::string::npos ? ": " : ".") + name;
  }

 private:
  const nlohmann::json& member(const std::string& name) const {
    const auto found = object_.find(name);
    if (found == object_.end()) throw InputError(place(name) + " is missing; export the bundle again");
    return *found;
  }

  [[noreturn]] static void fault(const std::string& where, const nlohmann::json& value, const char* wanted) {
    std::string shown = value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
    if (shown.size() > 40) shown = shown.substr(0, 40) + "...";
    throw InputError(where + " is " + shown + ", and " + wanted + " is needed; export the bundle again");
  }

  template <typename T>
  static T convert(const nlohmann::json& value, const std::string& where) {
    if constexpr (IsVector<T>::value || IsArray<T>::value) {
      T found{};
      if (!value.is_array()) fault(where, value, "an array");
      if constexpr (IsVector<T>::value) found.resize(value.size());
      if (value.size() != found.size()) fault(where, value, "an array of another length");
      for (std::size_t i = 0; i < found.size(); ++i) {
        found[i] = convert<typename T::value_type>(value[i], where + "[" + std::to_string(i) + "]");
      }
      return found;
    } else if constexpr (std::is_same_v<T, bool>) {
      if (!value.is_boolean()) fault(where, value, "true or false");
      return value.get<bool>();
    } else if constexpr (std::is_integral_v<T>) {
      return whole<T>(value, where);
    } else if constexpr (std::is_floating_point_v<T>) {
      if (!value.is_number()) fault(where, value, "a number");
      const T number = static_cast<T>(value.get<double>());
      if (!std::isfinite(number)) fault(where, value, "a number in range");
      return number;
    } else {
      static_assert(std::is_same_v<T, std::string>, "Fields knows no such type");
      if (!value.is_string()) fault(where, value, "a text");
      return value.get<std::string>();
    }
  }

  template <typename T>
  static T whole(const nlohmann::json& value, const std::string& where) {
    using Limits = std::numeric_limits<T>;
    const char* wanted = Limits::is_signed ? "a whole number in range" : "a whole number, 0 or more, in range";
    if (!value.is_number_integer()) fault(where, value, wanted);
    if (value.is_number_unsigned()) {
      const auto number = value.get<std::uint64_t>();
      if (number > static_cast<std::uint64_t>(Limits::max())) fault(where, value, wanted);
      return static_cast<T>(number);
    }
    const auto number = value.get<std::int64_t>();  // below 0: nlohmann's parser makes others unsigned
    if (!Limits::is_signed || number < static_cast<std::int64_t>(Limits::min())) fault(where, value, wanted);
    return static_cast<T>(number);
  }

  const nlohmann::json& object_;
  std::string where_;
};

}  // namespace mindvoxel
