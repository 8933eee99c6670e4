// csrc/include/nhwc/error.h -- what nhwc throws, and how a message is put together
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

namespace nhwc {

/// A value that does not fit: Python's ValueError.
struct ValueError : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};
/// A thing of the wrong kind: Python's TypeError.
struct TypeError : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};
/// An index or axis out of range: Python's IndexError.
struct IndexError : std::out_of_range {
  using std::out_of_range::out_of_range;
};
/// Memory that could not be had: Python's MemoryError.
struct MemoryError : std::runtime_error {
  using std::runtime_error::runtime_error;
};
/// The interrupt check said stop (Ctrl-C); the arrays asked for stay lazy.
struct Interrupted : std::runtime_error {
  Interrupted() : std::runtime_error("interrupted") {}
};

/// One part of a message: text, which it does not keep, or a number. A type of its own, so that one function joins all
/// messages: a template per list of parts would be a twentieth of the library.
class Part {
 public:
  Part(const char* text) : text_(text), size_(terminated) {}
  Part(std::string_view text) : text_(text.data()), size_(static_cast<int64_t>(text.size())) {}
  Part(const std::string& text) : Part(std::string_view(text)) {}
  Part(char c) : letter_(c), size_(letter) {}
  Part(double number) : real_(number), size_(real) {}
  template <std::integral T>
  Part(T number) : integer_(static_cast<int64_t>(number)), size_(std::is_signed_v<T> ? integer : natural) {}

  void append_to(std::string& out) const;

 private:
  enum Kind : int64_t { terminated = -1, letter = -2, real = -3, integer = -4, natural = -5 };
  union {
    const char* text_;
    char letter_;
    double real_;
    int64_t integer_;
  };
  int64_t size_;  // of the text, or a Kind
};

[[gnu::cold]] std::string join(std::initializer_list<Part> parts);
template <class E>
[[noreturn, gnu::cold]] void raise_joined(std::initializer_list<Part> parts);

/// Joins the parts: message("[conv2d] got ", 3, " channels").
template <class... A>
[[gnu::always_inline]] inline std::string message(const A&... parts) {
  return join({Part(parts)...});
}

/// raise<ValueError>("[op] ...", x): the user's mistake.
template <class E, class... A>
[[noreturn, gnu::always_inline]] inline void raise(const A&... parts) {
  raise_joined<E>({Part(parts)...});
}

/// Throws std::logic_error: "nhwc bug: <what> (<condition>) at <file>:<line>".
[[noreturn, gnu::cold]] void raise_bug(Part what, const char* condition, const char* file, int line);

}  // namespace nhwc

/// Our own mistake, checked in every build: prints what did not hold, then throws std::logic_error.
#define NHWC_CHECK(cond, what)                                       \
  do {                                                               \
    if (!(cond)) ::nhwc::raise_bug(what, #cond, __FILE__, __LINE__); \
  } while (0)
