// tests/apple/standin/foundation/string.cpp -- NSString (UTF-8 and ASCII) and NSNumber
#include <cstring>

#include "standin/debug/report.h"
#include "standin/foundation/foundation.h"

namespace standin {
namespace {

enum Encoding : UInteger { kAscii = 1, kUtf8 = 4 };

void check_encoding(UInteger encoding) {
  if (encoding != kAscii && encoding != kUtf8) report("argument", format("NSString of encoding %lu", encoding));
}

struct StringMethods : String {
  const char* utf8() { return text.c_str(); }
  const char* encoded(UInteger encoding) {
    check_encoding(encoding);
    return text.c_str();
  }
  UInteger length() { return text.size(); }
  UInteger length_in(UInteger encoding) {
    check_encoding(encoding);
    return text.size();
  }
  unsigned short character(UInteger index) {
    if (index >= text.size()) report("argument", format("character %lu of \"%s\"", index, text.c_str()));
    return static_cast<unsigned char>(text[index]);
  }
  bool equal(const Object* other) {
    return other && other->isa->derives_from("NSString") && static_cast<const String*>(other)->text == text;
  }
  UInteger hash() { return std::hash<std::string>()(text); }
  String* copy() {
    retain(this);
    return this;
  }
  String* init_string(const String* other) {
    text = other->text;
    return this;
  }
  String* init_c(const char* bytes, UInteger encoding) {
    check_encoding(encoding);
    text = bytes;
    return this;
  }
  String* init_bytes(void* bytes, UInteger length, UInteger encoding, bool owned) {
    check_encoding(encoding);
    text.assign(static_cast<const char*>(bytes), length);
    if (owned) std::free(bytes);
    return this;
  }
  String* appending(const String* tail) { return string(text + tail->text); }
  Range range_of(const String* part, UInteger options) {
    if (options) report("argument", "rangeOfString:options: with options");
    const size_t at = text.find(part->text);
    return at == std::string::npos ? Range{static_cast<UInteger>(INT64_MAX), 0} : Range{at, part->text.size()};
  }
};

String* empty() { return string(""); }
String* copy_of(const String* other) { return string(other->text); }
String* from_c(const char* bytes, UInteger encoding) {
  check_encoding(encoding);
  return string(bytes);
}

using S = StringMethods;
const bool defined_string = define_class(
    "NSString",
    {method<&S::utf8>("UTF8String"), method<&S::utf8>("fileSystemRepresentation"),
     method<&S::encoded>("cStringUsingEncoding:"), method<&S::length>("length"),
     method<&S::length_in>("lengthOfBytesUsingEncoding:"), method<&S::length_in>("maximumLengthOfBytesUsingEncoding:"),
     method<&S::character>("characterAtIndex:"), method<&S::equal>("isEqual:"), method<&S::equal>("isEqualToString:"),
     method<&S::hash>("hash"), method<&S::copy>("copy"), method<&S::init_string>("initWithString:"),
     method<&S::init_c>("initWithCString:encoding:"),
     method<&S::init_bytes>("initWithBytesNoCopy:length:encoding:freeWhenDone:"),
     method<&S::appending>("stringByAppendingString:"), method<&S::range_of>("rangeOfString:options:")},
    {allocates<String>(), class_method<&empty>("string"), class_method<&copy_of>("stringWithString:"),
     class_method<&from_c>("stringWithCString:encoding:")});

template <class T>
Number* number(T value) {
  Number* made = create_autoreleased<Number>();
  made->real = static_cast<double>(value);
  made->integer = static_cast<long long>(value);
  return made;
}

struct NumberMethods : Number {
  template <class T>
  T as_integer() {
    return static_cast<T>(integer);
  }
  template <class T>
  T as_real() {
    return static_cast<T>(real);
  }
  String* as_string() { return string(describe()); }
  bool equal(const Object* other) {
    return other && other->isa->derives_from("NSNumber") && static_cast<const Number*>(other)->real == real;
  }
};

using N = NumberMethods;
const bool defined_number = define_class(
    "NSNumber",
    {method<&N::as_integer<bool>>("boolValue"), method<&N::as_integer<int>>("intValue"),
     method<&N::as_integer<unsigned>>("unsignedIntValue"), method<&N::as_integer<long>>("longValue"),
     method<&N::as_integer<unsigned long>>("unsignedLongValue"), method<&N::as_integer<long long>>("longLongValue"),
     method<&N::as_integer<unsigned long long>>("unsignedLongLongValue"),
     method<&N::as_integer<Integer>>("integerValue"), method<&N::as_integer<UInteger>>("unsignedIntegerValue"),
     method<&N::as_real<float>>("floatValue"), method<&N::as_real<double>>("doubleValue"),
     method<&N::as_string>("stringValue"), method<&N::equal>("isEqualToNumber:"), method<&N::equal>("isEqual:")},
    {class_method<&number<bool>>("numberWithBool:"), class_method<&number<int>>("numberWithInt:"),
     class_method<&number<unsigned>>("numberWithUnsignedInt:"), class_method<&number<long>>("numberWithLong:"),
     class_method<&number<unsigned long>>("numberWithUnsignedLong:"),
     class_method<&number<long long>>("numberWithLongLong:"),
     class_method<&number<unsigned long long>>("numberWithUnsignedLongLong:"),
     class_method<&number<float>>("numberWithFloat:"), class_method<&number<double>>("numberWithDouble:")});

}  // namespace

String* string(const std::string& text) { return create_autoreleased<String>(text); }

String* constant_string(const char* text) {
  String* made = create<String>(text);
  made->immortal = true;
  return made;
}

std::string Number::describe() const {
  return real == static_cast<double>(integer) ? std::to_string(integer) : std::to_string(real);
}

}  // namespace standin
