// csrc/io/json.cpp -- as much of JSON as safetensors headers need
#include "io/json.h"

#include <set>

#include "nhwc/error.h"

namespace nhwc {
namespace {

class Parser {
 public:
  Parser(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  Json document() {
    Json v = value(0);
    skip();
    if (at_ != text_.size()) fail("has something behind its end");
    return v;
  }

 private:
  [[noreturn]] void fail(const char* what) const {
    raise<ValueError>("[load] ", where_, ": the JSON header ", what, " (character ", at_, ")");
  }

  void skip() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r'))
      ++at_;
  }
  bool accept(char c) {
    skip();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail("is malformed");
  }

  Json value(int depth) {
    if (depth > 16) fail("is nested too deeply");
    skip();
    if (at_ >= text_.size()) fail("ends too early");
    switch (text_[at_]) {
      case '"':
        return {string()};
      case '{':
        return {object(depth)};
      case '[':
        return {list(depth)};
      case 'n':
        return null();
      default:
        return {number()};
    }
  }

  JsonObject object(int depth) {
    JsonObject out;
    std::set<std::string> names;
    expect('{');
    if (accept('}')) return out;
    do {
      skip();
      std::string name = string();
      if (!names.insert(name).second) fail("names something twice");
      expect(':');
      out.push_back({std::move(name), value(depth + 1)});
    } while (accept(','));
    expect('}');
    return out;
  }

  JsonList list(int depth) {
    JsonList out;
    expect('[');
    if (accept(']')) return out;
    do {
      out.push_back(value(depth + 1));
    } while (accept(','));
    expect(']');
    return out;
  }

  Json null() {
    if (text_.substr(at_, 4) != "null") fail("holds an unknown word");
    at_ += 4;
    return {};
  }

  uint64_t number() {
    uint64_t v = 0;
    const size_t begin = at_;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_)
      if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, static_cast<uint64_t>(text_[at_] - '0'), &v))
        fail("holds a number beyond 64 bits");
    if (at_ == begin) fail("holds something other than strings, whole numbers, lists and objects");
    return v;
  }

  uint32_t hex4() {
    uint32_t v = 0;
    for (int i = 0; i < 4; ++i) {
      const char c = at_ < text_.size() ? text_[at_++] : '\0';
      if (c >= '0' && c <= '9')
        v = v * 16 + (c - '0');
      else if (c >= 'a' && c <= 'f')
        v = v * 16 + (c - 'a' + 10);
      else if (c >= 'A' && c <= 'F')
        v = v * 16 + (c - 'A' + 10);
      else
        fail("holds a bad \\u escape");
    }
    return v;
  }

  static void append_utf8(std::string& s, uint32_t c) {
    if (c < 0x80) {
      s += static_cast<char>(c);
    } else if (c < 0x800) {
      s += static_cast<char>(0xc0 | c >> 6);
      s += static_cast<char>(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
      s += static_cast<char>(0xe0 | c >> 12);
      s += static_cast<char>(0x80 | (c >> 6 & 0x3f));
      s += static_cast<char>(0x80 | (c & 0x3f));
    } else {
      s += static_cast<char>(0xf0 | c >> 18);
      s += static_cast<char>(0x80 | (c >> 12 & 0x3f));
      s += static_cast<char>(0x80 | (c >> 6 & 0x3f));
      s += static_cast<char>(0x80 | (c & 0x3f));
    }
  }

  void escape(std::string& out) {
    const char c = at_ < text_.size() ? text_[at_++] : '\0';
    switch (c) {
      case '"':
      case '\\':
      case '/':
        out += c;
        return;
      case 'b':
        out += '\b';
        return;
      case 'f':
        out += '\f';
        return;
      case 'n':
        out += '\n';
        return;
      case 'r':
        out += '\r';
        return;
      case 't':
        out += '\t';
        return;
      case 'u':
        break;
      default:
        fail("holds an unknown escape");
    }
    uint32_t code = hex4();
    if (code >= 0xdc00 && code < 0xe000) fail("holds half of a surrogate pair");
    if (code >= 0xd800 && code < 0xdc00) {
      if (text_.substr(at_, 2) != "\\u") fail("holds half of a surrogate pair");
      at_ += 2;
      const uint32_t low = hex4();
      if (low < 0xdc00 || low >= 0xe000) fail("holds half of a surrogate pair");
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    append_utf8(out, code);
  }

  std::string string() {
    expect('"');
    std::string out;
    for (;;) {
      if (at_ >= text_.size()) fail("has a string that does not end");
      const char c = text_[at_++];
      if (c == '"') return out;
      if (c == '\\')
        escape(out);
      else if (static_cast<unsigned char>(c) < 0x20)
        fail("has a control character in a string");
      else
        out += c;
    }
  }

  std::string_view text_;
  const std::string& where_;
  size_t at_ = 0;
};

}  // namespace

Json parse_json(std::string_view text, const std::string& where) { return Parser(text, where).document(); }

std::string json_string(std::string_view s) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out = "\"";
  for (char c : s) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += "\\u00";
      out += digits[c >> 4 & 15];
      out += digits[c & 15];
    } else {
      out += c;
    }
  }
  return out + "\"";
}

}  // namespace nhwc
