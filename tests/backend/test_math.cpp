// tests/backend/test_math.cpp -- float32 functions of every instruction set against double, over all of float32
#include <bit>
#include <cstring>

#include "backend_testing.h"
#include "kernels/table.h"

using namespace nhwc;

namespace {

struct Function {
  UnaryKind kind;
  double (*exact)(double);
  double ulps;
};
double sigmoid(double x) { return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x)); }

const Function functions[] = {
    {UnaryKind::exp, std::exp, 1},         {UnaryKind::expm1, std::expm1, 2},
    {UnaryKind::log, std::log, 1},         {UnaryKind::log2, std::log2, 2},
    {UnaryKind::log10, std::log10, 2},     {UnaryKind::log1p, std::log1p, 2},
    {UnaryKind::sin, std::sin, 2},         {UnaryKind::cos, std::cos, 2},
    {UnaryKind::tan, std::tan, 4},         {UnaryKind::arcsin, std::asin, 3},
    {UnaryKind::arccos, std::acos, 3},     {UnaryKind::arctan, std::atan, 3},
    {UnaryKind::sinh, std::sinh, 4},       {UnaryKind::cosh, std::cosh, 4},
    {UnaryKind::tanh, std::tanh, 2},       {UnaryKind::sigmoid, sigmoid, 3},
    {UnaryKind::erf, std::erf, 2},         {UnaryKind::sqrt, std::sqrt, 0.51},
    {UnaryKind::floor, std::floor, 0},     {UnaryKind::ceil, std::ceil, 0},
    {UnaryKind::round, std::nearbyint, 0}, {UnaryKind::rsqrt, [](double x) { return 1 / std::sqrt(x); }, 2},
};

std::vector<float> samples() {
  std::vector<float> x;
  for (uint64_t b = 0; b < (uint64_t(1) << 32); b += 4099) x.push_back(std::bit_cast<float>(static_cast<uint32_t>(b)));
  for (double d = -120; d < 120; d += 0.0017) x.push_back(static_cast<float>(d));
  const float inf = std::numeric_limits<float>::infinity();
  for (float s : {0.0f, -0.0f, 1.0f, -1.0f, inf, -inf, std::numeric_limits<float>::quiet_NaN()}) x.push_back(s);
  return x;
}

double ulp_of(double v) {
  const float f = std::min(std::fabs(static_cast<float>(v)), 0x1p127f);  // above it the spacing stays
  return static_cast<double>(std::nextafter(f, INFINITY)) - f;
}

/// Errors in ulps; huge where a NaN, an infinity or the sign of a zero is wrong.
double error(float got, double exact) {
  const float rounded = static_cast<float>(exact);
  if (std::isnan(rounded)) return std::isnan(got) ? 0 : 1e30;
  if (std::isinf(rounded)) return got == rounded || std::fabs(exact) < 3.4029e38 ? 0 : 1e30;
  if (exact == 0) return got == 0 && std::signbit(got) == std::signbit(exact) ? 0 : 1e30;
  if (std::isinf(got)) return std::fabs(exact) > 3.402823e38 ? 0 : 1e30;
  return std::fabs(got - exact) / ulp_of(exact);
}

}  // namespace

TEST_CASE("float32 functions are within their stated ulps on every instruction set") {
  const std::vector<float> x = samples();
  std::vector<float> y(x.size());
  for (Isa isa : supported_isas())
    for (const Function& f : functions) {
      CAPTURE(name(isa));
      CAPTURE(name(f.kind));
      table_for(isa).elementwise.unary[static_cast<int>(f.kind)][static_cast<int>(Dtype::float32)](
          x.data(), y.data(), static_cast<int64_t>(x.size()));
      double worst = 0;
      float where = 0;
      for (size_t i = 0; i < x.size(); ++i) {
        const double e = error(y[i], f.exact(x[i]));
        if (e > worst) {
          worst = e;
          where = x[i];
        }
      }
      CAPTURE(where);
      CHECK(worst <= f.ulps);
    }
}

TEST_CASE("gelu's absolute error stays within 2 ulp of |x|, erfinv inverts erf") {
  for (Isa isa : supported_isas()) {
    CAPTURE(name(isa));
    const auto& k = table_for(isa).elementwise;
    std::vector<float> x, y;
    for (double d = -12; d < 12; d += 0.0037) x.push_back(static_cast<float>(d));
    y.resize(x.size());
    k.unary[static_cast<int>(UnaryKind::gelu)][static_cast<int>(Dtype::float32)](x.data(), y.data(),
                                                                                 static_cast<int64_t>(x.size()));
    for (size_t i = 0; i < x.size(); ++i) {
      const double d = x[i], exact = 0.5 * d * std::erfc(-d * std::sqrt(0.5));
      REQUIRE(std::fabs(y[i] - exact) <= 2 * ulp_of(d));
    }
    x.clear();
    for (double d = -0.999; d < 1; d += 0.001) x.push_back(static_cast<float>(d));
    y.resize(x.size());
    k.unary[static_cast<int>(UnaryKind::erfinv)][static_cast<int>(Dtype::float32)](x.data(), y.data(),
                                                                                   static_cast<int64_t>(x.size()));
    for (size_t i = 0; i < x.size(); ++i) REQUIRE(std::fabs(std::erf(double(y[i])) - x[i]) <= 4e-7 * std::fabs(x[i]));
    std::vector<double> w(x.begin(), x.end()), v(x.size());
    k.unary[static_cast<int>(UnaryKind::erfinv)][static_cast<int>(Dtype::float64)](w.data(), v.data(),
                                                                                   static_cast<int64_t>(w.size()));
    for (size_t i = 0; i < w.size(); ++i) REQUIRE(std::fabs(std::erf(v[i]) - w[i]) <= 4e-16);
  }
}

TEST_CASE("half types round as the scalar conversions do, for every bit pattern and odd lengths") {
  for (Isa isa : supported_isas()) {
    CAPTURE(name(isa));
    const auto& cast = table_for(isa).elementwise.cast;
    const int f32 = static_cast<int>(Dtype::float32);
    std::vector<uint16_t> h(65536), back(65536);
    std::iota(h.begin(), h.end(), 0);
    std::vector<float> f(65536);
    const auto check = [&]<class H>(H*, Dtype t) {
      cast[static_cast<int>(t)][f32](h.data(), f.data(), 65535);
      cast[f32][static_cast<int>(t)](f.data(), back.data(), 65535);
      for (size_t i = 0; i < 65535; ++i) {
        const float want = H::to_float(h[i]);
        REQUIRE((want != want ? f[i] != f[i] : std::memcmp(&f[i], &want, 4) == 0));
        if (want == want) REQUIRE(back[i] == h[i]);
      }
      std::mt19937 rng(7);
      std::vector<float> any(4099);
      for (float& v : any) v = std::bit_cast<float>(static_cast<uint32_t>(rng()));
      cast[f32][static_cast<int>(t)](any.data(), back.data(), 4099);
      for (size_t i = 0; i < any.size(); ++i)
        if (any[i] == any[i]) REQUIRE(back[i] == H::from_float(any[i]));
    };
    check(static_cast<Float16*>(nullptr), Dtype::float16);
    check(static_cast<BFloat16*>(nullptr), Dtype::bfloat16);
  }
}
