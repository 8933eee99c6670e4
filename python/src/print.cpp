// python/src/print.cpp -- how an array looks in Python, as in MLX
#include <cmath>
#include <sstream>

#include "array_class.h"
#include "base/visit_dtype.h"
#include "graph/node.h"

namespace nhwc::py {
namespace {

constexpr int64_t kEdge = 3;  // an axis longer than twice this shows its first and last three

template <class T>
void print_value(std::ostream& out, T v) {
  if constexpr (std::is_same_v<T, bool>) {
    out << (v ? "True" : "False");
  } else if constexpr (std::is_integral_v<T>) {
    out << +v;
  } else {
    double d = convert<double>(v);
    if (std::isnan(d))
      out << "nan";
    else if (std::isinf(d))
      out << (d < 0 ? "-inf" : "inf");
    else
      out << d;  // six significant digits
  }
}

template <class T>
void print_axis(std::ostream& out, const T* p, const Node& n, size_t axis) {
  if (axis == n.shape.size()) return print_value(out, *p);
  const std::string separator = axis + 1 == n.shape.size() ? ", " : ",\n" + std::string(7 + axis, ' ');
  int64_t size = n.shape[axis];
  out << '[';
  for (int64_t i = 0; i < size; ++i) {
    if (i) out << separator;
    if (size > 2 * kEdge && i == kEdge) {
      out << "..." << separator;
      i = size - kEdge;
    }
    print_axis(out, p + i * n.strides[axis], n, axis + 1);
  }
  out << ']';
}

}  // namespace

std::string repr(const Array& a) {
  evaluate_nogil(a);
  const Node& n = *a.node();
  std::ostringstream out;
  out << "array(";
  visit_dtype(n.dtype, [&]<class T>(T*) { print_axis(out, reinterpret_cast<const T*>(n.data()), n, 0); });
  out << ", dtype=" << name(n.dtype) << ")";
  return out.str();
}

}  // namespace nhwc::py
