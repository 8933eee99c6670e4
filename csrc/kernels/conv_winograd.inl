// csrc/kernels/conv_winograd.inl -- the transforms of a Winograd convolution, a vector of channels at a time
// Four points: 0, 1, -1, inf. Six points: 0, +-sqrt(1/2), +-sqrt(2), inf, whose error is half that of 0, +-1, +-2, inf:
// their products stay nearest to 1 (figures: ARCHITECTURE.md).
#pragma once

#include "kernels/conv_dot.inl"

namespace nhwc {
namespace {

template <class T>
struct Points {
  static constexpr T a = T(0.70710678118654752440), b = T(1.41421356237309504880);  // +-a, +-b
  static constexpr T a2 = T(0.5), b2 = T(2), sum = T(2.5), product = T(1);          // of the squares
  static constexpr T a3 = T(0.35355339059327376220), b3 = T(2.82842712474619009760);
};

/// B^T d in place, for the P inputs of a tile.
template <class T, int P>
NHWC_INLINE void transform_input(Vec<T> (&d)[P]) {
  if constexpr (P == 4) {
    const Vec<T> d1 = d[1], d2 = d[2];
    d[0] -= d2;
    d[1] = d1 + d2;
    d[2] = d2 - d1;
    d[3] = d1 - d[3];
  } else {
    using K = Points<T>;
    const Vec<T> first = K::product * d[0] + (d[4] - K::sum * d[2]), last = K::product * d[1] + (d[5] - K::sum * d[3]);
    const Vec<T> even_a = d[4] - K::b2 * d[2], odd_a = K::a * (d[3] - K::b2 * d[1]);
    const Vec<T> even_b = d[4] - K::a2 * d[2], odd_b = K::b * (d[3] - K::a2 * d[1]);
    d[0] = first;
    d[1] = even_a + odd_a;
    d[2] = even_a - odd_a;
    d[3] = even_b + odd_b;
    d[4] = even_b - odd_b;
    d[5] = last;
  }
}

/// A^T m: M outputs from P products.
template <class T, int P, int M>
NHWC_INLINE void transform_output(const Vec<T> (&m)[P], Vec<T> (&y)[M]) {
  static_assert(M >= 2 && M < P);
  if constexpr (P == 4) {
    y[0] = m[0] + m[1] + m[2];
    y[1] = m[1] - m[2];
    if constexpr (M > 2) y[2] = m[1] + m[2];
    y[M - 1] -= m[3];
  } else {
    using K = Points<T>;
    const Vec<T> even_a = m[1] + m[2], odd_a = m[1] - m[2], even_b = m[3] + m[4], odd_b = m[3] - m[4];
    y[0] = m[0] + even_a + even_b;
    y[1] = K::a * odd_a + K::b * odd_b;
    if constexpr (M > 2) y[2] = K::a2 * even_a + K::b2 * even_b;
    if constexpr (M > 3) y[3] = K::a3 * odd_a + K::b3 * odd_b;
    if constexpr (M > 4) y[4] = K::a2 * K::a2 * even_a + K::b2 * K::b2 * even_b;
    y[M - 1] += m[5];
  }
}

/// G w: P frequencies of a filter of R taps.
template <class T, int P, int R>
NHWC_INLINE void transform_filter(const Vec<T> (&taps)[R], Vec<T> (&u)[P]) {
  static_assert(R == 2 || R == 3 || (P == 6 && R <= 5));
  const Vec<T> zero = {}, w[5] = {taps[0], taps[1], R > 2 ? taps[2 % R] : zero, R > 3 ? taps[3 % R] : zero,
                                  R > 4 ? taps[4 % R] : zero};
  if constexpr (P == 4) {
    const Vec<T> even = T(0.5) * (w[0] + w[2]), odd = T(0.5) * w[1];
    u[0] = w[0];
    u[1] = even + odd;
    u[2] = even - odd;
    u[3] = taps[R - 1];
  } else {
    using K = Points<T>;
    constexpr T na = T(1) / (2 * K::a2 * (K::a2 - K::b2)), nb = T(1) / (2 * K::b2 * (K::b2 - K::a2));
    Vec<T> even_a = w[0] + K::a2 * w[2], odd_a = w[1], even_b = w[0] + K::b2 * w[2], odd_b = w[1];
    if constexpr (R > 3) {
      odd_a += K::a2 * w[3];
      odd_b += K::b2 * w[3];
    }
    if constexpr (R > 4) {
      even_a += K::a2 * K::a2 * w[4];
      even_b += K::b2 * K::b2 * w[4];
    }
    even_a *= na;
    even_b *= nb;
    odd_a *= na * K::a;
    odd_b *= nb * K::b;
    u[0] = T(1) / K::product * w[0];
    u[1] = even_a + odd_a;
    u[2] = even_a - odd_a;
    u[3] = even_b + odd_b;
    u[4] = even_b - odd_b;
    u[5] = taps[R - 1];
  }
}

/// Along the columns of a tile, whose rows are transformed, to v.
template <class T, int P, int AXES>
NHWC_INLINE void store_input(const Vec<T> (&d)[AXES == 2 ? P : 1][P], T* v, int64_t v_step) {
  if constexpr (AXES == 1) {
    NHWC_UNROLL for (int j = 0; j < P; ++j) store(v + j * v_step, d[0][j]);
  } else {
    NHWC_UNROLL for (int j = 0; j < P; ++j) {
      Vec<T> column[P];
      NHWC_UNROLL for (int i = 0; i < P; ++i) column[i] = d[i][j];
      transform_input<T, P>(column);
      NHWC_UNROLL for (int i = 0; i < P; ++i) store(v + (i * P + j) * v_step, column[i]);
    }
  }
}

template <class T, int P, int AXES>
void winograd_input(const WinogradInput<T>& t) {
  constexpr int lanes = kLanes<T>, rows = AXES == 2 ? P : 1;
  const T *cut[rows * P], *const *table = t.x;
  Vec<T> part[rows * P];
  int64_t offset = t.x_offset;
  for (int64_t ch = 0; ch < t.n; ch += lanes, offset += lanes) {
    if (ch + lanes > t.n) {  // the last channels, as a whole vector
      for (int i = 0; i < rows * P; ++i) {
        part[i] = load_n(t.x[i] + offset, static_cast<int>(t.n - ch));
        cut[i] = reinterpret_cast<const T*>(&part[i]);
      }
      table = cut;
      offset = 0;
    }
    Vec<T> d[rows][P];
    NHWC_UNROLL for (int i = 0; i < rows; ++i) {
      NHWC_UNROLL for (int j = 0; j < P; ++j) d[i][j] = load(table[i * P + j] + offset);
      transform_input<T, P>(d[i]);
    }
    store_input<T, P, AXES>(d, t.v + ch / lanes * t.v_vector, t.v_step);
  }
}

template <class T, int P, int AXES>
void winograd_gather(const WinogradGather<T>& t) {
  constexpr int rows = AXES == 2 ? P : 1;
  Vec<T> d[rows][P];
  NHWC_UNROLL for (int i = 0; i < rows; ++i) {
    const T* x = t.x + i * t.x_row;
    NHWC_UNROLL for (int j = 0; j < P; ++j) d[i][j] = load_n(x + j * t.x_column, t.n);
    for (int part = 1; part < t.parts; ++part) {
      x += t.x_part;
      NHWC_UNROLL for (int j = 0; j < P; ++j) d[i][j] = insert_n(d[i][j], x + j * t.x_column, part * t.n, t.n);
    }
    transform_input<T, P>(d[i]);
  }
  store_input<T, P, AXES>(d, t.v, t.v_step);
}

/// The products of one tap. What is asked for of the weights are those 4 KB ahead, as in direct_tile, or, a line in
/// each step, those at `next`. Of one vector nothing: of small groups, whose loads are the bound.
template <bool kNext, class T, int MR, int NV>
NHWC_INLINE void add_tap(const WinogradProduct<T>& t, const T* v, const T* u, const T*& next, Vec<T> (&acc)[MR][NV]) {
  constexpr int lanes = kLanes<T>;
  constexpr int64_t kAhead = 4096 / sizeof(T);
  for (int64_t left = t.k; left > 0; left -= lanes, v += t.v_vector) {
    const T* end = v + (left < lanes ? left : lanes);
    for (const T* a = v; a < end; ++a) {
      Vec<T> b[NV];
      NHWC_UNROLL for (int n = 0; n < NV; ++n) {
        b[n] = load(u + n * lanes);
        if (NV > 1 && !kNext && begins_line<T>(n)) ask_for(u + n * lanes + kAhead);
      }
      if (kNext) {
        __builtin_prefetch(next, 0, 2);
        next += t.next_step;
      }
      u += NV * lanes;
      NHWC_UNROLL for (int m = 0; m < MR; ++m) {
        const Vec<T> x = splat(a + m * lanes);
        NHWC_UNROLL for (int n = 0; n < NV; ++n) acc[m][n] = fma(x, b[n], acc[m][n]);
      }
    }
  }
}

template <class T, int MR, int NV>
void winograd_product(const WinogradProduct<T>& t) {
  constexpr int lanes = kLanes<T>;
  const T* next = t.next;
  for (int64_t f = 0; f < t.frequencies; ++f) {
    Vec<T> acc[MR][NV];
    NHWC_UNROLL for (int m = 0; m < MR; ++m) NHWC_UNROLL for (int n = 0; n < NV; ++n) acc[m][n] = Vec<T>{};
    for (int64_t tap = 0; tap < t.taps; ++tap) {
      const T* u = t.u + f * t.u_step + t.ids[tap] * t.u_tap;
      const T* v = t.v + f * t.v_step + t.at[tap];
      constexpr bool kSpread = NV > 1 && MR >= 6 && !kMinimal;  // pieces of several are no smaller
      if (kSpread && t.next)
        add_tap<kSpread>(t, v, u, next, acc);
      else
        add_tap<false>(t, v, u, next, acc);
    }
    T* to = t.m + f * t.m_step;
    NHWC_UNROLL for (int m = 0; m < MR; ++m) NHWC_UNROLL for (int n = 0; n < NV; ++n)
        store(to + (m * NV + n) * lanes, acc[m][n]);
  }
}

/// The products of two groups, each half of a vector. Of each the vectors hold two terms of a sum side by side, which
/// are added at the end. k is of both groups.
template <class T, int MR>
void winograd_halves(const WinogradProduct<T>& t) {
  constexpr int lanes = kLanes<T>;
  for (int64_t f = 0; f < t.frequencies; ++f) {
    Vec<T> acc[2][MR];
    NHWC_UNROLL for (int m = 0; m < MR; ++m) acc[0][m] = acc[1][m] = Vec<T>{};
    for (int64_t tap = 0; tap < t.taps; ++tap) {
      const T *u = t.u + f * t.u_step + t.ids[tap] * t.u_tap, *a = t.v + f * t.v_step + t.at[tap];
      NHWC_UNROLL for (int g = 0; g < 2; ++g) {
        for (const T* end = a + t.k / 2; a != end; a += 2, u += lanes) {
          const Vec<T> b = load(u);
          NHWC_UNROLL for (int m = 0; m < MR; ++m) acc[g][m] = fma(repeat<2>(a + m * lanes), b, acc[g][m]);
        }
      }
    }
    T* to = t.m + f * t.m_step;
    NHWC_UNROLL for (int m = 0; m < MR; ++m) store(to + m * lanes, sum_neighbours<T>(acc[0][m], acc[1][m]));
  }
}

/// Some outputs of a row of a tile; their sum.
template <class T>
__attribute__((noinline)) Vec<T> store_outputs(const WinogradOutput<T>& t, T* y, int n, Vec<T> bias, const Vec<T>* r,
                                               int columns) {
  const Vec<T> lo = set1(t.lo), hi = set1(t.hi);
  Vec<T> sum{};
  for (int j = 0; j < columns; ++j, y += t.y_column) {
    sum += r[j];
    Vec<T> v = r[j] + bias;
    if (t.residual) v += load_n(y + t.residual, n);
    v = min_keep_nan(max_keep_nan(v, lo), hi);
    if (n < kLanes<T>)
      store_n(y, v, n);
    else if (kStreams && t.stream)
      stream(y, v);
    else
      store(y, v);
  }
  return sum;
}

template <class T, int P, int M, int AXES>
void winograd_output(const WinogradOutput<T>& t) {
  constexpr int lanes = kLanes<T>, rows = AXES == 2 ? M : 1;
  Vec<T> check = {};  // the sum of all outputs
  const Vec<T> lo = set1(t.lo), hi = set1(t.hi);
  for (int ch = 0; ch < t.n; ch += lanes) {
    const int n = t.n - ch < lanes ? t.n - ch : lanes;
    const T* m = t.m + ch;
    Vec<T> u[rows][P];
    if constexpr (AXES == 1) {
      NHWC_UNROLL for (int j = 0; j < P; ++j) u[0][j] = load(m + j * t.m_step);
    } else {
      NHWC_UNROLL for (int j = 0; j < P; ++j) {
        Vec<T> column[P], r[M];
        NHWC_UNROLL for (int i = 0; i < P; ++i) column[i] = load(m + (i * P + j) * t.m_step);
        transform_output<T, P, M>(column, r);
        NHWC_UNROLL for (int i = 0; i < M; ++i) u[i][j] = r[i];
      }
    }
    const Vec<T> bias = t.bias ? (n == lanes ? load(t.bias + ch) : load_n(t.bias + ch, n)) : -Vec<T>{};
    const bool whole = n == lanes && t.columns == M && !t.residual && !t.stream;
    NHWC_UNROLL for (int i = 0; i < rows; ++i) {
      if (i >= t.rows) break;
      Vec<T> r[M];
      transform_output<T, P, M>(u[i], r);
      T* y = t.y + i * t.y_row + ch;
      if (!whole) {
        Vec<T> part[M];  // a copy: what has an address would live in memory
        NHWC_UNROLL for (int j = 0; j < M; ++j) part[j] = r[j];
        check += store_outputs(t, y, n, bias, part, t.columns);
        continue;
      }
      Vec<T> row = r[0];
      NHWC_UNROLL for (int j = 1; j < M; ++j) row += r[j];
      check += row;
      NHWC_UNROLL for (int j = 0; j < M; ++j)
          store(y + j * t.y_column, min_keep_nan(max_keep_nan(r[j] + bias, lo), hi));
    }
  }
  if (has_nan(T(0) * check)) *t.not_finite = true;
}

/// A d: six frequencies of the gradients of four outputs; the transpose of transform_output.
template <class T>
NHWC_INLINE void transform_grad(const Vec<T> (&d)[4], Vec<T> (&z)[6]) {
  using K = Points<T>;
  const Vec<T> even_a = d[0] + K::a2 * d[2], odd_a = K::a * d[1] + K::a3 * d[3];
  const Vec<T> even_b = d[0] + K::b2 * d[2], odd_b = K::b * d[1] + K::b3 * d[3];
  z[0] = d[0];
  z[1] = even_a + odd_a;
  z[2] = even_a - odd_a;
  z[3] = even_b + odd_b;
  z[4] = even_b - odd_b;
  z[5] = d[3];
}

/// G^T u: the gradients of three taps; the transpose of transform_filter.
template <class T>
NHWC_INLINE void transform_sums(const Vec<T> (&u)[6], Vec<T> (&w)[3]) {
  using K = Points<T>;
  constexpr T na = T(1) / (2 * K::a2 * (K::a2 - K::b2)), nb = T(1) / (2 * K::b2 * (K::b2 - K::a2));
  const Vec<T> even_a = na * (u[1] + u[2]), even_b = nb * (u[3] + u[4]);
  w[0] = T(1) / K::product * u[0] + even_a + even_b;
  w[1] = na * K::a * (u[1] - u[2]) + nb * K::b * (u[3] - u[4]);
  w[2] = K::a2 * even_a + K::b2 * even_b + u[5];
}

template <class T, int AXES>
void winograd_grad_outputs(const WinogradInput<T>& t) {
  constexpr int lanes = kLanes<T>, rows = AXES == 2 ? 4 : 1;
  for (int64_t ch = 0; ch < t.n; ch += lanes) {
    const int n = ch + lanes <= t.n ? lanes : static_cast<int>(t.n - ch);
    Vec<T> z[rows][6];
    NHWC_UNROLL for (int i = 0; i < rows; ++i) {
      Vec<T> d[4];
      NHWC_UNROLL for (int j = 0; j < 4; ++j) d[j] =
          n == lanes ? load(t.x[i * 4 + j] + t.x_offset + ch) : load_n(t.x[i * 4 + j] + t.x_offset + ch, n);
      transform_grad<T>(d, z[i]);
    }
    T* v = t.v + ch / lanes * t.v_vector;
    if constexpr (AXES == 1) {
      NHWC_UNROLL for (int j = 0; j < 6; ++j) store(v + j * t.v_step, z[0][j]);
    } else {
      NHWC_UNROLL for (int j = 0; j < 6; ++j) {
        Vec<T> column[4], r[6];
        NHWC_UNROLL for (int i = 0; i < 4; ++i) column[i] = z[i][j];
        transform_grad<T>(column, r);
        NHWC_UNROLL for (int i = 0; i < 6; ++i) store(v + (i * 6 + j) * t.v_step, r[i]);
      }
    }
  }
}

/// One vector of all parts.
template <class T>
NHWC_INLINE Vec<T> add_parts(const WinogradGradOutput<T>& t, const T* m) {
  Vec<T> sum = load(m);
  for (int64_t p = 1; p < t.parts; ++p) sum += load(m + p * t.part_step);
  return sum;
}

template <class T, int AXES>
void winograd_grad_sums(const WinogradGradOutput<T>& t) {
  constexpr int lanes = kLanes<T>, rows = AXES == 2 ? 3 : 1;
  Vec<T> check = {};
  for (int ch = 0; ch < t.n; ch += lanes) {
    const int n = t.n - ch < lanes ? t.n - ch : lanes;
    const T* m = t.m + ch;
    Vec<T> u[rows][6];
    if constexpr (AXES == 1) {
      NHWC_UNROLL for (int j = 0; j < 6; ++j) u[0][j] = add_parts(t, m + j * t.m_step);
    } else {
      NHWC_UNROLL for (int j = 0; j < 6; ++j) {
        Vec<T> column[6], r[3];
        NHWC_UNROLL for (int i = 0; i < 6; ++i) column[i] = add_parts(t, m + (i * 6 + j) * t.m_step);
        transform_sums<T>(column, r);
        NHWC_UNROLL for (int i = 0; i < 3; ++i) u[i][j] = r[i];
      }
    }
    NHWC_UNROLL for (int i = 0; i < rows; ++i) {
      Vec<T> r[3];
      transform_sums<T>(u[i], r);
      NHWC_UNROLL for (int j = 0; j < 3; ++j) {
        check += T(0) * r[j];
        store_n(t.w + (i * 3 + j) * t.w_step + ch, r[j], n);
      }
    }
  }
  if (has_nan(check)) *t.not_finite = true;
}

template <class T, int P, int R, int AXES>
void winograd_filter(const WinogradFilter<T>& t) {
  constexpr int lanes = kLanes<T>, rows = AXES == 2 ? R : 1;
  for (int64_t e = 0; e < t.n; e += lanes) {
    Vec<T> u[rows][P];
    NHWC_UNROLL for (int i = 0; i < rows; ++i) {
      Vec<T> w[R];
      NHWC_UNROLL for (int j = 0; j < R; ++j) w[j] = load(t.w + (i * R + j) * t.w_step + e);
      transform_filter<T, P, R>(w, u[i]);
    }
    if constexpr (AXES == 1) {
      NHWC_UNROLL for (int j = 0; j < P; ++j) store(t.u + j * t.u_step + e, u[0][j]);
    } else {
      NHWC_UNROLL for (int j = 0; j < P; ++j) {
        Vec<T> column[R], r[P];
        NHWC_UNROLL for (int i = 0; i < R; ++i) column[i] = u[i][j];
        transform_filter<T, P, R>(column, r);
        NHWC_UNROLL for (int i = 0; i < P; ++i) store(t.u + (i * P + j) * t.u_step + e, r[i]);
      }
    }
  }
}

}  // namespace
}  // namespace nhwc
