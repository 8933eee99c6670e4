// metal/elementwise.metal -- one unary or binary function, a choice or a conversion, over all elements
#include <metal_stdlib>

// A product is rounded before it is added, unless it says fma: a chain then gives the bits of its functions one by one.
#pragma METAL fp contract(off)

#include "common/convert.h"
#include "common/index.h"
#include "common/kinds.h"

using namespace metal;

constant int kind [[function_constant(0)]];  // of kinds.inc; of a cast: the place of the result's type in dtypes.inc
constant bool strided [[function_constant(1)]];
constant bool wide [[function_constant(2)]];  // places and numbers of elements need 64 bits
// Where nothing is strided: 1, or 0 for an operand of one element.
constant int step_a [[function_constant(3)]];
constant int step_b [[function_constant(4)]];
constant int step_c [[function_constant(5)]];

// What is done with the elements: put() computes and stores number i of the result.

struct Function {
  template <typename T>
  static void put(device T* y, ulong i, T x) {
    y[i] = T(apply_unary(kind, compute_t<T>(x)));
  }
  template <typename T>
  static void put(device T* y, ulong i, T a, T b) {
    y[i] = T(apply_binary(kind, compute_t<T>(a), compute_t<T>(b)));
  }
};
struct Test {
  template <typename T>
  static void put(device bool* y, ulong i, T x) {
    y[i] = apply_predicate(kind, compute_t<T>(x));
  }
  template <typename T>
  static void put(device bool* y, ulong i, T a, T b) {
    y[i] = apply_comparison(kind, compute_t<T>(a), compute_t<T>(b));
  }
};

enum CastTo {
#define NHWC_DTYPE(name, type) cast_to_##name,
#include "instances/dtypes.inc"
};
struct Convert {
  template <typename T>
  static void put(device uchar* y, ulong i, T x) {
    switch (kind) {
#define NHWC_DTYPE(name, type)               \
  case cast_to_##name:                       \
    ((device type*)y)[i] = convert<type>(x); \
    break;
#include "instances/dtypes.inc"
    }
  }
};

template <typename F, typename I, typename T, typename R>
void walk_one(device const T* x, device R* y, constant ElementwiseParams& p, Share s) {
  Walk<I, 1, ElementwiseParams> walk(p, s.first);
  for (int i = 0; i < s.count; ++i, walk.next()) F::put(y, s.first + i, x[walk.at[0]]);
}
template <typename F, typename T, typename R>
void map_one(device const T* x, device R* y, constant ElementwiseParams& p, uint2 at, uint2 grid) {
  const Share s = share_of(at, grid, p.size, elements_per_thread(sizeof(T)));
  if (strided && wide)
    walk_one<F, long>(x, y, p, s);
  else if (strided)
    walk_one<F, int>(x, y, p, s);
  else
    for (int i = 0; i < s.count; ++i) F::put(y, s.first + i, x[(s.first + i) * step_a]);
}

template <typename F, typename I, typename T, typename R>
void walk_two(device const T* a, device const T* b, device R* y, constant ElementwiseParams& p, Share s) {
  Walk<I, 2, ElementwiseParams> walk(p, s.first);
  for (int i = 0; i < s.count; ++i, walk.next()) F::put(y, s.first + i, a[walk.at[0]], b[walk.at[1]]);
}
template <typename F, typename T, typename R>
void map_two(device const T* a, device const T* b, device R* y, constant ElementwiseParams& p, uint2 at, uint2 grid) {
  const Share s = share_of(at, grid, p.size, elements_per_thread(sizeof(T)));
  if (strided && wide)
    walk_two<F, long>(a, b, y, p, s);
  else if (strided)
    walk_two<F, int>(a, b, y, p, s);
  else
    for (int i = 0; i < s.count; ++i) F::put(y, s.first + i, a[(s.first + i) * step_a], b[(s.first + i) * step_b]);
}

template <typename T>
[[kernel]] void unary(device const T* x [[buffer(0)]], device T* y [[buffer(1)]],
                      constant ElementwiseParams& p [[buffer(2)]], uint2 at [[thread_position_in_grid]],
                      uint2 grid [[threads_per_grid]]) {
  map_one<Function>(x, y, p, at, grid);
}
template <typename T>
[[kernel]] void predicate(device const T* x [[buffer(0)]], device bool* y [[buffer(1)]],
                          constant ElementwiseParams& p [[buffer(2)]], uint2 at [[thread_position_in_grid]],
                          uint2 grid [[threads_per_grid]]) {
  map_one<Test>(x, y, p, at, grid);
}
template <typename T>
[[kernel]] void cast(device const T* x [[buffer(0)]], device uchar* y [[buffer(1)]],
                     constant ElementwiseParams& p [[buffer(2)]], uint2 at [[thread_position_in_grid]],
                     uint2 grid [[threads_per_grid]]) {
  map_one<Convert>(x, y, p, at, grid);
}
template <typename T>
[[kernel]] void binary(device const T* a [[buffer(0)]], device const T* b [[buffer(1)]], device T* y [[buffer(2)]],
                       constant ElementwiseParams& p [[buffer(3)]], uint2 at [[thread_position_in_grid]],
                       uint2 grid [[threads_per_grid]]) {
  map_two<Function>(a, b, y, p, at, grid);
}
template <typename T>
[[kernel]] void comparison(device const T* a [[buffer(0)]], device const T* b [[buffer(1)]],
                           device bool* y [[buffer(2)]], constant ElementwiseParams& p [[buffer(3)]],
                           uint2 at [[thread_position_in_grid]], uint2 grid [[threads_per_grid]]) {
  map_two<Test>(a, b, y, p, at, grid);
}

template <typename I, typename T>
void walk_select(device const bool* c, device const T* a, device const T* b, device T* y, constant ElementwiseParams& p,
                 Share s) {
  Walk<I, 3, ElementwiseParams> walk(p, s.first);
  for (int i = 0; i < s.count; ++i, walk.next())
    y[s.first + i] = op::select(c[walk.at[0]], a[walk.at[1]], b[walk.at[2]]);
}
template <typename T>
[[kernel]] void choice(device const bool* c [[buffer(0)]], device const T* a [[buffer(1)]],
                       device const T* b [[buffer(2)]], device T* y [[buffer(3)]],
                       constant ElementwiseParams& p [[buffer(4)]], uint2 at [[thread_position_in_grid]],
                       uint2 grid [[threads_per_grid]]) {
  const Share s = share_of(at, grid, p.size, elements_per_thread(sizeof(T)));
  if (strided && wide)
    walk_select<long>(c, a, b, y, p, s);
  else if (strided)
    walk_select<int>(c, a, b, y, p, s);
  else
    for (int i = 0; i < s.count; ++i) {
      const ulong e = s.first + i;
      y[e] = op::select(c[e * step_a], a[e * step_b], b[e * step_c]);
    }
}

#define NHWC_DTYPE(name, type)                                                                     \
  template [[host_name("unary_" #name)]] [[kernel]] decltype(unary<type>) unary<type>;             \
  template [[host_name("predicate_" #name)]] [[kernel]] decltype(predicate<type>) predicate<type>; \
  template [[host_name("cast_" #name)]] [[kernel]] decltype(cast<type>) cast<type>;                \
  template [[host_name("binary_" #name)]] [[kernel]] decltype(binary<type>) binary<type>;          \
  template [[host_name("comparison_" #name)]] [[kernel]] decltype(comparison<type>) comparison<type>;
#include "instances/dtypes.inc"
#define NHWC_ITEM(name, type) template [[host_name("select_" #name)]] [[kernel]] decltype(choice<type>) choice<type>;
#include "instances/items.inc"
