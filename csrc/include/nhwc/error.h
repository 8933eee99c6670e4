// csrc/include/nhwc/error.h -- what nhwc throws, and how a message is put together
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

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

/// Joins the parts with operator<<: message("[conv2d] got ", 3, " channels").
template <class... A>
__attribute__((cold, noinline)) std::string message(const A&... parts) {
  std::ostringstream s;
  (s << ... << parts);
  return s.str();
}

/// raise<ValueError>("[op] ...", x): the user's mistake.
template <class E, class... A>
[[noreturn]] __attribute__((cold, noinline)) void raise(const A&... parts) {
  throw E(message(parts...));
}

}  // namespace nhwc

/// Our own mistake, checked in every build: prints what did not hold, then throws std::logic_error.
#define NHWC_CHECK(cond, what)                                                                                    \
  do {                                                                                                            \
    if (!(cond))                                                                                                  \
      throw std::logic_error(::nhwc::message("nhwc bug: ", what, " (", #cond, ") at ", __FILE__, ":", __LINE__)); \
  } while (0)
