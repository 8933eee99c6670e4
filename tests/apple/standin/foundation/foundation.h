// tests/apple/standin/foundation/foundation.h -- strings, errors and containers of the stand-in Foundation
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "standin/objc/object.h"

namespace standin {

using UInteger = unsigned long;
using Integer = long;

struct Range {
  UInteger location, length;
};

struct String : Object {
  static constexpr const char* kClass = "NSString";
  std::string text;

  String() = default;
  explicit String(std::string value) : text(std::move(value)) {}
  std::string describe() const override { return text; }
};

/// A string that the innermost pool owns.
String* string(const std::string& text);
/// One that is never released: a constant of a framework.
String* constant_string(const char* text);
/// "" for null.
inline std::string text_of(const String* s) { return s ? s->text : std::string(); }

struct Array : Object {
  static constexpr const char* kClass = "NSArray";
  std::vector<Ref<Object>> items;

  std::string describe() const override;
};

/// Keys are strings, as all of Metal's are.
struct Dictionary : Object {
  static constexpr const char* kClass = "NSDictionary";
  std::map<std::string, Ref<Object>> items;
};

struct Error : Object {
  static constexpr const char* kClass = "NSError";
  Ref<String> domain;
  Integer code = 0;
  Ref<Dictionary> info;

  std::string describe() const override;
};

/// Where `out` is given, an error that the innermost pool owns.
void set_error(Error** out, const char* domain, Integer code, const std::string& text);
Error* make_error(const char* domain, Integer code, const std::string& text);

struct Number : Object {
  static constexpr const char* kClass = "NSNumber";
  double real = 0;
  long long integer = 0;

  std::string describe() const override;
};

struct Url : Object {
  static constexpr const char* kClass = "NSURL";
  std::string path;  // without file://

  std::string describe() const override { return "file://" + path; }
};

struct Data : Object {
  static constexpr const char* kClass = "NSData";
  std::vector<unsigned char> bytes;
};

}  // namespace standin
