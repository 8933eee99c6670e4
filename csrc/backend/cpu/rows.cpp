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
  if constexpr (std::is_floating_point_v<T>) return v != v;
  else return false;
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

/// Running sums: float32 in double, half types in float.
template <class T>
using Running = std::conditional_t<std::is_same_v<T, float>, double, Compute<T>>;

template <class T>
void scan(const T* x, T* y, const AxisView& v, const Scan& p, Running<T>* acc) {
  using A = Running<T>;
  const A start = p.product ? A(1) : A(0);
  std::fill_n(acc, v.inner, start);
  for (int64_t i = 0; i < v.n; ++i) {
    const int64_t at = (p.reverse ? v.n - 1 - i : i) * v.inner;
    for (int64_t j = 0; j < v.inner; ++j) {
      const A term = static_cast<A>(x[at + j]), before = acc[j];
      if constexpr (std::is_same_v<T, bool>) acc[j] = p.product ? before && term : before || term;
      else if constexpr (std::is_integral_v<A>)  // unsigned: wraps
        acc[j] = static_cast<A>(p.product ? uint64_t(before) * uint64_t(term) : uint64_t(before) + uint64_t(term));
      else acc[j] = p.product ? before * term : before + term;
      y[at + j] = static_cast<T>(p.inclusive ? acc[j] : before);
    }
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
  visit_dtype(x.dtype, [&]<class T>(T*) {
    auto data = reinterpret_cast<const T*>(in.data());
    parallel_for(v.outer * v.inner, std::max<int64_t>(1, 16384 / v.n), [&](int64_t b, int64_t e) {
      while (b < e) {
        const int64_t o = b / v.inner, from = b % v.inner, to = std::min(v.inner, from + e - b);
        arg_reduce(data + o * v.n * v.inner, v, p.max, from, to, y + o * v.inner);
        b += to - from;
      }
    });
  });
}

void run(const Scan& p, Node& n, bool may_reuse) {
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
  (void)may_reuse;
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
        scan(data + o * v.n * v.inner, y + o * v.n * v.inner, v, p, acc.template as<Running<T>>());
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
