// tests/apple/emulator/include/msl/vec.h -- MSL's vectors: swizzles, conversions, operators element by element
#pragma once

#include "traits.h"

// What a kernel does through these stands at the kernel's own line.
#define MSL_QUIET __attribute__((nodebug))

namespace metal {

template <class T, int N>
struct vec;

/// The elements I... of a vector of N, as v.xzy names them. Lies over the vector in a union, so it holds no more.
template <class T, int N, int... I>
struct swizzle {
  static constexpr int kCount = sizeof...(I);
  using element = T;
  using vector = vec<T, kCount>;
  T d[N];

  MSL_QUIET constexpr operator vector() const { return vector(d[I]...); }
  MSL_QUIET constexpr T operator[](int i) const {
    constexpr int index[] = {I...};
    return d[index[i]];
  }
  constexpr swizzle& operator=(const vector& v) {
    int i = 0;
    ((d[I] = v.d[i++]), ...);
    return *this;
  }
  constexpr swizzle& operator=(const swizzle& other) { return *this = vector(other); }
#define MSL_ASSIGN(op)                              \
  template <class B>                                \
  constexpr swizzle& operator op## = (const B& b) { \
    return *this = vector(*this) op b;              \
  }
  MSL_ASSIGN(+) MSL_ASSIGN(-) MSL_ASSIGN(*) MSL_ASSIGN(/) MSL_ASSIGN(&) MSL_ASSIGN(|) MSL_ASSIGN(^)
#undef MSL_ASSIGN
};

// What a type is as an operand: a vector, a swizzle that stands for one, or a scalar.
template <class A>
struct vec_of {
  static constexpr bool is = false;
};
template <class T, int N>
struct vec_of<vec<T, N>> {
  static constexpr bool is = true;
  static constexpr int n = N;
  using element = T;
};
template <class T, int N, int... I>
struct vec_of<swizzle<T, N, I...>> : vec_of<vec<T, sizeof...(I)>> {};
template <class A>
concept vec_like = vec_of<A>::is;
template <class A>
inline constexpr bool is_swizzle = false;
template <class T, int N, int... I>
inline constexpr bool is_swizzle<swizzle<T, N, I...>> = true;
template <class A>
concept scalar_like = is_arithmetic_v<A>;

/// The vector that an operator of A and B works on; none where they do not fit together.
template <class A, class B>
struct vec_pair {};
template <vec_like A, vec_like B>
  requires(is_same_v<typename vec_of<A>::element, typename vec_of<B>::element> && vec_of<A>::n == vec_of<B>::n)
struct vec_pair<A, B> {
  using type = vec<typename vec_of<A>::element, vec_of<A>::n>;
};
template <vec_like A, scalar_like B>
struct vec_pair<A, B> {
  using type = vec<typename vec_of<A>::element, vec_of<A>::n>;
};
template <scalar_like A, vec_like B>
struct vec_pair<A, B> {
  using type = vec<typename vec_of<B>::element, vec_of<B>::n>;
};
template <class A, class B>
using vec_pair_t = typename vec_pair<A, B>::type;

#define MSL_VEC_BODY(N)                                                                 \
  static constexpr int kCount = N;                                                      \
  using element = T;                                                                    \
  vec() = default;                                                                      \
  vec(const vec&) = default;                                                            \
  constexpr vec& operator=(const vec& o) {                                              \
    for (int i = 0; i < N; ++i) d[i] = o.d[i];                                          \
    return *this;                                                                       \
  }                                                                                     \
  template <scalar_like S>                                                              \
  MSL_QUIET constexpr vec(S s) {                                                        \
    for (int i = 0; i < N; ++i) d[i] = T(s);                                            \
  }                                                                                     \
  template <class S>                                                                    \
    requires(!is_same_v<S, T>)                                                          \
  MSL_QUIET explicit constexpr vec(const vec<S, N>& o) {                                \
    for (int i = 0; i < N; ++i) d[i] = T(o.d[i]);                                       \
  }                                                                                     \
  template <class S, int M, int... I>                                                   \
    requires(sizeof...(I) == N && !is_same_v<S, T>)                                     \
  MSL_QUIET explicit constexpr vec(const swizzle<S, M, I...>& o) : vec(vec<S, N>(o)) {} \
  MSL_QUIET constexpr T& operator[](int i) { return d[i]; }                             \
  MSL_QUIET constexpr const T& operator[](int i) const { return d[i]; }

template <class T>
struct alignas(2 * sizeof(T)) vec<T, 2> {
  union {
    T d[2];
    struct {
      T x, y;
    };
    struct {
      T r, g;
    };
#include "swizzles2.inc"
  };
  MSL_VEC_BODY(2)
  MSL_QUIET constexpr vec(T a, T b) {
    d[0] = a;
    d[1] = b;
  }
};

template <class T>
struct alignas(4 * sizeof(T)) vec<T, 3> {
  union {
    T d[3];
    struct {
      T x, y, z;
    };
    struct {
      T r, g, b;
    };
#include "swizzles3.inc"
  };
  MSL_VEC_BODY(3)
  MSL_QUIET constexpr vec(T a, T b, T c) {
    d[0] = a;
    d[1] = b;
    d[2] = c;
  }
  MSL_QUIET constexpr vec(const vec<T, 2>& a, T c) : vec(a.d[0], a.d[1], c) {}
  MSL_QUIET constexpr vec(T a, const vec<T, 2>& c) : vec(a, c.d[0], c.d[1]) {}
};

template <class T>
struct alignas(4 * sizeof(T)) vec<T, 4> {
  union {
    T d[4];
    struct {
      T x, y, z, w;
    };
    struct {
      T r, g, b, a;
    };
#include "swizzles4.inc"
  };
  MSL_VEC_BODY(4)
  MSL_QUIET constexpr vec(T x_, T y_, T z_, T w_) {
    d[0] = x_;
    d[1] = y_;
    d[2] = z_;
    d[3] = w_;
  }
  MSL_QUIET constexpr vec(const vec<T, 2>& p, const vec<T, 2>& q) : vec(p.d[0], p.d[1], q.d[0], q.d[1]) {}
  MSL_QUIET constexpr vec(const vec<T, 2>& p, T z_, T w_) : vec(p.d[0], p.d[1], z_, w_) {}
  MSL_QUIET constexpr vec(T x_, T y_, const vec<T, 2>& q) : vec(x_, y_, q.d[0], q.d[1]) {}
  MSL_QUIET constexpr vec(T x_, const vec<T, 2>& q, T w_) : vec(x_, q.d[0], q.d[1], w_) {}
  MSL_QUIET constexpr vec(const vec<T, 3>& p, T w_) : vec(p.d[0], p.d[1], p.d[2], w_) {}
  MSL_QUIET constexpr vec(T x_, const vec<T, 3>& q) : vec(x_, q.d[0], q.d[1], q.d[2]) {}
};
#undef MSL_VEC_BODY

/// A vector without its alignment and swizzles: what lies in memory as packed_float3.
template <class T, int N>
struct packed_vec {
  T d[N];
  MSL_QUIET constexpr packed_vec() : d{} {}
  MSL_QUIET constexpr packed_vec(const vec<T, N>& v) {
    for (int i = 0; i < N; ++i) d[i] = v.d[i];
  }
  MSL_QUIET constexpr operator vec<T, N>() const {
    vec<T, N> v;
    for (int i = 0; i < N; ++i) v.d[i] = d[i];
    return v;
  }
  MSL_QUIET constexpr T& operator[](int i) { return d[i]; }
  MSL_QUIET constexpr const T& operator[](int i) const { return d[i]; }
};

#define MSL_OPERATOR(op)                                                     \
  template <class A, class B>                                                \
  MSL_QUIET constexpr vec_pair_t<A, B> operator op(const A& a, const B& b) { \
    const vec_pair_t<A, B> p(a), q(b);                                       \
    vec_pair_t<A, B> r;                                                      \
    for (int i = 0; i < r.kCount; ++i) r.d[i] = p.d[i] op q.d[i];            \
    return r;                                                                \
  }                                                                          \
  template <class T, int N, class B>                                         \
  constexpr vec<T, N>& operator op## = (vec<T, N> & a, const B& b) {         \
    return a = a op b;                                                       \
  }
MSL_OPERATOR(+)
MSL_OPERATOR(-)
MSL_OPERATOR(*)
MSL_OPERATOR(/)
MSL_OPERATOR(%)
MSL_OPERATOR(&)
MSL_OPERATOR(|)
MSL_OPERATOR(^)
MSL_OPERATOR(<<)
MSL_OPERATOR(>>)
#undef MSL_OPERATOR

#define MSL_COMPARISON(op)                                                                      \
  template <class A, class B>                                                                   \
  MSL_QUIET constexpr vec<bool, vec_pair_t<A, B>::kCount> operator op(const A& a, const B& b) { \
    const vec_pair_t<A, B> p(a), q(b);                                                          \
    vec<bool, vec_pair_t<A, B>::kCount> r;                                                      \
    for (int i = 0; i < p.kCount; ++i) r.d[i] = p.d[i] op q.d[i];                               \
    return r;                                                                                   \
  }
MSL_COMPARISON(<)
MSL_COMPARISON(>)
MSL_COMPARISON(<=)
MSL_COMPARISON(>=)
MSL_COMPARISON(==)
MSL_COMPARISON(!=)
MSL_COMPARISON(&&)
MSL_COMPARISON(||)
#undef MSL_COMPARISON

/// f of each element, as the vector of what f returns.
template <class T, int N, class F>
MSL_QUIET constexpr auto each(const vec<T, N>& a, F f) {
  vec<decltype(f(a.d[0])), N> r;
  for (int i = 0; i < N; ++i) r.d[i] = f(a.d[i]);
  return r;
}

template <vec_like A>
MSL_QUIET constexpr auto as_vec(const A& a) {
  return vec<typename vec_of<A>::element, vec_of<A>::n>(a);
}
template <vec_like A>
MSL_QUIET constexpr auto operator-(const A& a) {
  using T = typename vec_of<A>::element;
  return each(as_vec(a), [](T x) { return T(-x); });
}
template <vec_like A>
MSL_QUIET constexpr auto operator~(const A& a) {
  using T = typename vec_of<A>::element;
  return each(as_vec(a), [](T x) { return T(~x); });
}
template <vec_like A>
MSL_QUIET constexpr auto operator!(const A& a) {
  return each(as_vec(a), [](auto x) { return !x; });
}
template <class T, int N>
MSL_QUIET constexpr vec<T, N>& operator++(vec<T, N>& a) {
  return a = a + T(1);
}

}  // namespace metal

#define MSL_VECTORS(T)           \
  using T##2 = metal::vec<T, 2>; \
  using T##3 = metal::vec<T, 3>; \
  using T##4 = metal::vec<T, 4>; \
  namespace metal {              \
  using ::T##2;                  \
  using ::T##3;                  \
  using ::T##4;                  \
  }
MSL_VECTORS(float)
MSL_VECTORS(half)
MSL_VECTORS(bfloat)
MSL_VECTORS(bool)
MSL_VECTORS(char)
MSL_VECTORS(uchar)
MSL_VECTORS(short)
MSL_VECTORS(ushort)
MSL_VECTORS(int)
MSL_VECTORS(uint)
MSL_VECTORS(long)
MSL_VECTORS(ulong)
#undef MSL_VECTORS
#define MSL_PACKED(T)                            \
  using packed_##T##2 = metal::packed_vec<T, 2>; \
  using packed_##T##3 = metal::packed_vec<T, 3>; \
  using packed_##T##4 = metal::packed_vec<T, 4>;
MSL_PACKED(float)
MSL_PACKED(half)
MSL_PACKED(bfloat)
MSL_PACKED(char)
MSL_PACKED(uchar)
MSL_PACKED(short)
MSL_PACKED(ushort)
MSL_PACKED(int)
MSL_PACKED(uint)
#undef MSL_PACKED
