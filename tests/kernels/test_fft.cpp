// tests/kernels/test_fft.cpp -- transforms of every length against the sums that define them, in float64
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <complex>
#include <limits>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "kernels/fft.h"
#include "kernels/table.h"

using namespace nhwc;

namespace {

using Spectrum = std::vector<std::complex<double>>;

/// The definition; n roots are enough, as exponents count modulo n.
Spectrum dft(const Spectrum& x) {
  const size_t n = x.size();
  Spectrum root(n), y(n);
  for (size_t i = 0; i < n; ++i) root[i] = std::polar(1.0, -2 * M_PI * static_cast<double>(i) / static_cast<double>(n));
  for (size_t f = 0; f < n; ++f)
    for (size_t i = 0, at = 0; i < n; ++i, at = (at + f) % n) y[f] += x[i] * root[at];
  return y;
}

/// The same in n log n, for lengths whose definition takes too long: checked against it below.
Spectrum fast_dft(const Spectrum& x) {
  const size_t n = x.size();
  if (n <= 64) return dft(x);
  Spectrum even(n / 2), odd(n / 2), y(n);
  for (size_t i = 0; i < n / 2; ++i) even[i] = x[2 * i], odd[i] = x[2 * i + 1];
  even = fast_dft(even);
  odd = fast_dft(odd);
  for (size_t f = 0; f < n / 2; ++f) {
    const auto w = std::polar(1.0, -2 * M_PI * static_cast<double>(f) / static_cast<double>(n)) * odd[f];
    y[f] = even[f] + w;
    y[f + n / 2] = even[f] - w;
  }
  return y;
}

double relative_error(const Spectrum& got, const Spectrum& want) {
  double error = 0, norm = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    error += std::norm(got[i] - want[i]);
    norm += std::norm(want[i]);
  }
  return std::sqrt(error / norm);
}

/// A block of n points, `inner` of them side by side and `stride` apart; every column holds other values.
struct Columns {
  Columns(const FftKernels& kernels, int64_t points, int64_t step, int64_t side, unsigned seed)
      : k(kernels), n(points), stride(step), inner(side), x(static_cast<size_t>(n * stride * 2 * k.lanes)) {
    std::mt19937 rng(seed);
    std::normal_distribution<float> d;
    for (float& v : x) v = d(rng);
    table.resize(static_cast<size_t>(fft_twiddle_floats(n)) + 1);
    fft_twiddles(n, table.data());
  }
  std::complex<double> at(int64_t point, int64_t i, int lane) const {
    const float* p = x.data() + (point * stride + i) * 2 * k.lanes + lane;
    return {p[0], p[k.lanes]};
  }
  Spectrum column(int64_t i, int lane) const {
    Spectrum s;
    for (int64_t j = 0; j < n; ++j) s.push_back(at(j, i, lane));
    return s;
  }
  Spectrum frequencies(int64_t i, int lane) const {
    Spectrum s;
    for (int64_t f = 0; f < n; ++f) s.push_back(at(fft_position(f, n), i, lane));
    return s;
  }
  const FftKernels& k;
  int64_t n, stride, inner;
  std::vector<float> x, table;
};

}  // namespace

TEST_CASE("frequencies are permuted, and twiddles are the roots of one") {
  for (int64_t n = 4; n <= 4096; n *= 2) {
    std::set<int64_t> places;
    for (int64_t f = 0; f < n; ++f) places.insert(fft_position(f, n));
    CHECK(places.size() == static_cast<size_t>(n));
    CHECK(*places.rbegin() == n - 1);
    std::vector<float> table(static_cast<size_t>(fft_twiddle_floats(n)) + 1);
    fft_twiddles(n, table.data());
    double worst = 0;
    size_t at = 0;
    for (int64_t m = n; m > 4; m /= 4)
      for (int64_t j = 0; j < m / 4; ++j)
        for (int r = 1; r < 4; ++r, at += 2) {
          const auto want = std::polar(1.0, -2 * M_PI * static_cast<double>(r * j) / static_cast<double>(m));
          worst = std::max(worst, std::abs(want - std::complex<double>(table[at], table[at + 1])));
        }
    CHECK(at + 1 == table.size());
    CHECK(worst < 0x1p-24);
  }
}

TEST_CASE("the test's own fast transform agrees with the definition") {
  std::mt19937 rng(1);
  std::normal_distribution<double> d;
  Spectrum x(1024);
  for (auto& v : x) v = {d(rng), d(rng)};
  CHECK(relative_error(fast_dft(x), dft(x)) < 1e-13);
}

TEST_CASE("transforms of every length, there and back") {
  for (Isa isa : supported_isas()) {
    const FftKernels& k = table_for(isa).conv.fft;
    for (int64_t n = 4; n <= 65536; n *= 2) {
      Columns c(k, n, 1, 1, static_cast<unsigned>(n));
      const Columns before = c;
      fft_forward(k, c.x.data(), n, 1, 1, c.table.data());
      const double bound = 1e-7 * std::log2(static_cast<double>(n));
      for (int lane : {0, k.lanes - 1}) {
        const double error = relative_error(c.frequencies(0, lane), fast_dft(before.column(0, lane)));
        CHECK_MESSAGE(error < bound, "n ", n, " ", std::string(name(isa)), " error ", error);
      }
      fft_inverse(k, c.x.data(), n, 1, 1, c.table.data());
      for (int lane = 0; lane < k.lanes; ++lane) {
        Spectrum want = before.column(0, lane);
        for (auto& v : want) v *= static_cast<double>(n);
        CHECK_MESSAGE(relative_error(c.column(0, lane), want) < 2 * bound, "n ", n, " ", std::string(name(isa)));
      }
    }
  }
}

TEST_CASE("transforms of points that lie apart leave what is between them alone") {
  for (Isa isa : supported_isas()) {
    const FftKernels& k = table_for(isa).conv.fft;
    for (int64_t n : {4, 8, 32, 128, 1024})
      for (int64_t inner : {1, 3, 5}) {
        Columns c(k, n, 7, inner, static_cast<unsigned>(n + inner));
        const Columns before = c;
        fft_forward(k, c.x.data(), n, 7, inner, c.table.data());
        for (int64_t i = 0; i < 7; ++i) {
          const Spectrum want = i < inner ? fast_dft(before.column(i, 1)) : before.column(i, 1);
          const double error = relative_error(i < inner ? c.frequencies(i, 1) : c.column(i, 1), want);
          CHECK_MESSAGE(error <= (i < inner ? 1e-7 * std::log2(static_cast<double>(n)) : 0), "n ", n, " column ", i);
        }
      }
  }
}

TEST_CASE("the largest magnitude, with NaN and inf above all") {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  for (Isa isa : supported_isas()) {
    const FftKernels& k = table_for(isa).conv.fft;
    for (int64_t n = 0; n < 40; ++n)
      for (int64_t at = 0; at < std::max<int64_t>(n, 1); ++at) {
        std::vector<float> x(static_cast<size_t>(n) + 1, -1.5f);
        x[static_cast<size_t>(n)] = nan;  // beyond the end
        CHECK(k.peak(x.data(), n) == (n ? std::bit_cast<uint32_t>(1.5f) : 0));
        if (n == 0) continue;
        for (float v : {-7.0f, inf, -inf, nan, -nan}) {
          x[static_cast<size_t>(at)] = v;
          CHECK(k.peak(x.data(), n) == (std::bit_cast<uint32_t>(v) & 0x7fffffffu));
        }
      }
  }
}
