// csrc/io/json.h -- as much of JSON as safetensors headers need
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace nhwc {

struct Json;
struct JsonMember;
using JsonObject = std::vector<JsonMember>;  // in the file's order, names unique
using JsonList = std::vector<Json>;

/// Strings, integers that are not negative, lists, objects and null; other values are refused.
struct Json {
  std::variant<std::monostate, std::string, uint64_t, JsonList, JsonObject> value;
};
struct JsonMember {
  std::string name;
  Json value;
};

/// ValueError naming `where` and the character for anything else, and for more than 16 levels.
Json parse_json(std::string_view text, const std::string& where);
/// `s` in quotes, escaped.
std::string json_string(std::string_view s);

}  // namespace nhwc
