// csrc/base/shape.cpp -- arithmetic on shapes
#include "nhwc/shape.h"

#include "nhwc/error.h"

namespace nhwc {

int64_t size_of(const Shape& s) {
  int64_t n = 1;
  bool overflow = false;
  for (int64_t d : s) {
    if (d == 0) return 0;
    overflow |= __builtin_mul_overflow(n, d, &n);
  }
  if (overflow) raise<ValueError>("shape ", to_string(s), " has more elements than 64 bits can count");
  return n;
}

std::string to_string(const Dims& d) {
  std::string s = "(";
  for (size_t i = 0; i < d.size(); ++i) s += message(i ? ", " : "", d[i]);
  return s + (d.size() == 1 ? ",)" : ")");
}

Strides contiguous_strides(const Shape& s) {
  Strides r(s.size(), 1);
  for (int i = static_cast<int>(s.size()) - 2; i >= 0; --i) r[i] = r[i + 1] * s[i + 1];
  return r;
}

Shape broadcast_shapes(const Shape& a, const Shape& b, const char* who) {
  const Shape& longer = a.size() >= b.size() ? a : b;
  const Shape& shorter = a.size() >= b.size() ? b : a;
  Shape out = longer;
  const size_t skip = longer.size() - shorter.size();
  for (size_t i = 0; i < shorter.size(); ++i) {
    int64_t& d = out[skip + i];
    if (d == shorter[i] || shorter[i] == 1) continue;
    if (d != 1)
      raise<ValueError>("[", who, "] shapes ", to_string(a), " and ", to_string(b),
                        " cannot be broadcast: aligned at the last axis, sizes must be equal or 1");
    d = shorter[i];
  }
  return out;
}

int normalize_axis(int64_t axis, int ndim, const char* who) {
  if (ndim == 0) raise<IndexError>("[", who, "] got axis ", axis, " for a scalar, which has no axes");
  if (axis < -ndim || axis >= ndim)
    raise<IndexError>("[", who, "] axis ", axis, " is out of range for an array of ", ndim, " dimensions; expected ",
                      -ndim, " to ", ndim - 1);
  return static_cast<int>(axis < 0 ? axis + ndim : axis);
}

}  // namespace nhwc
