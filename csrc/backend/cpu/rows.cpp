// csrc/backend/cpu/rows.cpp -- ArgReduce, Scan and Softmax: along one axis
#include <cmath>
#include <vector>

#include "backend/cpu/run.h"
#include "backend/cpu/strided.h"
#include "base/interrupt.h"
#include "base/thread_pool.h"
#include "base/visit_dtype.h"
#include "kernels/table.h"

namespace nhwc::cpu {
namespace {

/// A row-major array seen as (outer, n, inner) around one axis.
struct AxisView {
  int64_t outer = 1, n = 1, inner = 1;
  AxisView(const Shape& s, int axis) : n(s[static_cast<size_t>(axis)]) {
    for (int a = 0; a < axis; ++a) outer *= s[static_cast<size_t>(a)];
    for (size_t a = static_cast<size_t>(axis) + 1; a < s.size(); ++a) inner *= s[a];
  }
};

template <class T>
bool is_nan(T v) {
  if constexpr (std::is_floating_point_v<T>)
    return v != v;
  else
    return false;
}

/// Whether v takes the place of `best`: never where they are equal (the first wins), and nothing replaces a NaN.
template <class T>
bool better(T v, T best, bool max) {
  return !is_nan(best) && (is_nan(v) || (max ? v > best : v < best));
}

/// The indices for inner positions [from, to) of one outer position.
template <class T>
void arg_reduce(const T* x, const AxisView& v, bool max, int64_t from, int64_t to, uint32_t* y) {
  using C = Compute<T>;
  constexpr int64_t kWidth = 64;  // candidates kept in L1 while the rows pass by
  for (int64_t b = from; b < to; b += kWidth) {
    const int64_t m = std::min(kWidth, to - b);
    C best[kWidth];
    for (int64_t j = 0; j < m; ++j) {
      best[j] = static_cast<C>(x[b + j]);
      y[b + j] = 0;
    }
    for (int64_t i = 1; i < v.n; ++i)
      for (int64_t j = 0; j < m; ++j) {
        const C c = static_cast<C>(x[i * v.inner + b + j]);
        if (!better(c, best[j], max)) continue;
        best[j] = c;
        y[b + j] = static_cast<uint32_t>(i);
      }
  }
}

/// Where a contiguous row has its extremum, which the kernel has found: the first element equal to it, or the first
/// NaN.
template <class T>
uint32_t find_first(const T* x, int64_t n, T top) {
  constexpr int64_t block = 64;  // tested together, which the compiler vectorises
  int64_t i = 0;
  for (; i + block <= n; i += block) {
    int found = 0;
    for (int64_t j = 0; j < block; ++j) found |= int(x[i + j] == top) | int(is_nan(x[i + j]));
    if (found) break;
  }
  while (i < n && !(x[i] == top || is_nan(x[i]))) ++i;
  return static_cast<uint32_t>(i);
}

/// Running sums: float32 in double, half types in float.
template <class T>
using Running = std::conditional_t<std::is_same_v<T, float>, double, Compute<T>>;

template <bool product, class A>
A step(A before, A term) {
  if constexpr (std::is_same_v<A, bool>)
    return product ? before && term : before || term;
  else if constexpr (std::is_integral_v<A>)  // unsigned: wraps
    return static_cast<A>(product ? uint64_t(before) * uint64_t(term) : uint64_t(before) + uint64_t(term));
  else
    return product ? before * term : before + term;
}

template <bool product, class T>
void scan(const T* x, T* y, const AxisView& v, const Scan& p, Running<T>* acc) {
  using A = Running<T>;
  const int64_t by = p.reverse ? -v.inner : v.inner, first = p.reverse ? (v.n - 1) * v.inner : 0;
  if (v.inner == 1) {  // the running value stays in a register
    A sum = product ? A(1) : A(0);
    for (int64_t i = 0, at = first; i < v.n; ++i, at += by) {
      const A before = sum;
      sum = step<product>(before, static_cast<A>(x[at]));
      y[at] = static_cast<T>(p.inclusive ? sum : before);
    }
    return;
  }
  std::fill_n(acc, v.inner, product ? A(1) : A(0));
  for (int64_t i = 0, at = first; i < v.n; ++i, at += by)
    for (int64_t j = 0; j < v.inner; ++j) {
      const A before = acc[j];
      acc[j] = step<product>(before, static_cast<A>(x[at + j]));
      y[at + j] = static_cast<T>(p.inclusive ? acc[j] : before);
    }
}

}  // namespace

void run(const ArgReduce& p, Node& n, bool) {
  const Node& x = *n.inputs[0].node();
  allocate_output(n);
  const AxisView v(x.shape, p.axis);
  if (v.n == 0 || size_of(n.shape) == 0) return;
  const RowMajor in(x);
  auto y = reinterpret_cast<uint32_t*>(n.data());
  const auto kind = static_cast<int>(p.max ? ReduceKind::max : ReduceKind::min);
  const auto extremum = kernels().elementwise.rows[kind][static_cast<int>(x.dtype)];
  visit_dtype(x.dtype, [&]<class T>(T*) {
    auto data = reinterpret_cast<const T*>(in.data());
    if (v.inner == 1 && v.n >= 32 && extremum) {
      parallel_for(v.outer, std::max<int64_t>(1, 32768 / v.n), [&](int64_t b, int64_t e) {
        for (int64_t o = b; o < e; ++o) {
          T top;
          extremum(data + o * v.n, v.n, 1, v.n, &top);
          y[o] = find_first(data + o * v.n, v.n, top);
        }
      });
      return;
    }
    parallel_for(v.outer * v.inner, std::max<int64_t>(1, 16384 / v.n), [&](int64_t b, int64_t e) {
      while (b < e) {
        const int64_t o = b / v.inner, from = b % v.inner, to = std::min(v.inner, from + e - b);
        arg_reduce(data + o * v.n * v.inner, v, p.max, from, to, y + o * v.inner);
        b += to - from;
      }
    });
  });
}

void run(const Scan& p, Node& n, bool) {
  const Node& x = *n.inputs[0].node();
  if (x.dtype != n.dtype) {
    // A sum of booleans counts them: converted first.
    Array converted = make_node(Cast{}, x.shape, n.dtype, {n.inputs[0]}, n.stream);
    run(Cast{}, *converted.node(), false);
    Node rest;
    rest.dtype = n.dtype;
    rest.shape = n.shape;
    rest.inputs.push_back(std::move(converted));
    run(p, rest, false);
    share_storage(n, rest, rest.strides, rest.offset);
    return;
  }
  allocate_output(n);
  if (size_of(n.shape) == 0) return;
  const AxisView v(x.shape, p.axis);
  const RowMajor in(x);
  visit_dtype(n.dtype, [&]<class T>(T*) {
    auto data = reinterpret_cast<const T*>(in.data());
    auto y = reinterpret_cast<T*>(n.data());
    parallel_for(v.outer, std::max<int64_t>(1, 16384 / (v.n * v.inner)), [&](int64_t b, int64_t e) {
      Scratch acc(static_cast<size_t>(v.inner) * sizeof(Running<T>));
      for (int64_t o = b; o < e; ++o)
        (p.product ? scan<true, T> : scan<false, T>)(data + o * v.n * v.inner, y + o * v.n * v.inner, v, p,
                                                     acc.template as<Running<T>>());
    });
  });
}

void run(const Softmax&, Node& n, bool may_reuse) {
  const Node& x = *n.inputs[0].node();
  const int taken = take_or_allocate(n, may_reuse);
  const int64_t size = size_of(n.shape);
  if (size == 0) return;
  const int64_t width = n.shape.empty() ? 1 : n.shape.back();
  const RowMajor in(x);
  const auto& k = kernels().elementwise;
  const int t = static_cast<int>(n.dtype), f32 = static_cast<int>(Dtype::float32);
  const auto item = static_cast<int64_t>(size_of(n.dtype));
  const auto rows = [&](int64_t b, int64_t e) {
    Scratch wide(is_half(n.dtype) ? static_cast<size_t>(width) * sizeof(float) : 0);
    for (int64_t r = b; r < e; ++r) {
      const char* from = in.data() + r * width * item;
      char* to = n.data() + r * width * item;
      if (k.softmax[t]) {
        k.softmax[t](from, to, width);
        continue;
      }
      k.cast[t][f32](from, wide.as<float>(), width);
      k.softmax[f32](wide.as<float>(), wide.as<float>(), width);
      k.cast[f32][t](wide.as<float>(), to, width);
    }
  };
  const int64_t grain = std::max<int64_t>(1, 8192 / width);
  if (taken < 0) {
    parallel_for(size / width, grain, rows);
  } else {
    UninterruptedScope to_the_end;  // overwrites its input
    parallel_for(size / width, grain, rows);
  }
}

}  // namespace nhwc::cpu
