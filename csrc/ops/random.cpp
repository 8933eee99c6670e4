// csrc/ops/random.cpp -- random numbers from keys, by MLX's algorithms: the same key gives the same numbers
#include <bit>
#include <cmath>
#include <limits>

#include "ops/common.h"

namespace nhwc::random {
namespace {

void require_key(const Array& key, const char* who) {
  if (key.dtype() == Dtype::uint32 && key.shape() == Shape{2}) return;
  raise<ValueError>("[random.", who, "] key has shape ", to_string(key.shape()), " and dtype ", name(key.dtype()),
                    "; expected 2 uint32 values, as random.key(seed) gives");
}

void require_shape(const Shape& s, const char* who) {
  for (int64_t d : s)
    if (d < 0)
      raise<ValueError>("[random.", who, "] shape ", to_string(s), " has a negative size; sizes are 0 or more");
}

void require_floating(Dtype t, const char* who) {
  if (!is_floating(t)) raise<ValueError>("[random.", who, "] got dtype ", name(t), "; expected a floating dtype");
}

// The largest value below 1 in the dtype: samples lie in [low, high).
double below_one(Dtype t) {
  switch (t) {
    case Dtype::float16:
      return 1 - 0x1p-11;
    case Dtype::bfloat16:
      return 1 - 0x1p-8;
    case Dtype::float32:
      return 1 - 0x1p-24;
    default:
      return 1 - 0x1p-53;
  }
}

void require_broadcast(const Shape& from, const Shape& to, const char* who) {
  if (broadcast_shapes(from, to, who) != to)
    raise<ValueError>("[random.", who, "] parameters of shape ", to_string(from), " cannot be broadcast to the shape ",
                      to_string(to));
}

Array gumbel(const Shape& shape, const Array& key) {
  const Array u = uniform(Array(0.0f), Array(1.0f), shape, Dtype::float32, key);
  return negative(log(negative(log(u))));
}

// How many elements of the ascending vector `sorted` are at most t, elementwise: halving steps, so nothing is larger
// than t.
Array count_not_above(const Array& sorted, const Array& t) {
  const int64_t n = sorted.size();
  const Array most = Array::scalar_int(n, Dtype::int64), one = Array::scalar_int(1, Dtype::int64);
  Array found = zeros(t.shape(), Dtype::int64);
  for (int64_t step = static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(n))); step > 0; step /= 2) {
    const Array next = add(found, Array::scalar_int(step, Dtype::int64));
    const Array below = less_equal(take(sorted, subtract(minimum(next, most), one), 0), t);
    found = where(logical_and(less_equal(next, most), below), next, found);
  }
  return found;
}

// Samples of one distribution by its cumulative weights: memory for the samples and the categories, not for their
// product.
Array categorical_of_one(const Array& logits, const Shape& shape, const Array& key) {
  const Array x = astype(flatten(logits), Dtype::float32), peak = max(x);
  const Array weights = where(equal(x, peak), Array(1.0f), exp(subtract(x, peak)));  // also where the peak is infinite
  const Array sums = cumsum(weights, 0);
  const Array total = slice(sums, {x.size() - 1}, {1}, {1});
  const Array target = multiply(uniform(Array(0.0f), Array(1.0f), shape, Dtype::float32, key), total);
  const Array last = Array::scalar_int(x.size() - 1, Dtype::int64);
  return astype(minimum(count_not_above(sums, target), last), Dtype::uint32);
}

// One index for every element of `shape`, which has an axis less than the logits (and may have more in front). One
// distribution goes another way than several, as in MLX, whose samples these are.
Array categorical_along(const Array& logits, int axis, const Shape& shape, const Array& key) {
  if (!shape.empty() && logits.size() > 0 && logits.size() == logits.shape(axis))
    return categorical_of_one(logits, shape, key);
  const int at = axis + static_cast<int>(shape.size()) - logits.ndim() + 1;
  Shape wide = shape;
  wide.insert(at, logits.shape(axis));
  return argmax(add(gumbel(wide, key), logits), at);
}

}  // namespace

Array key(uint64_t seed) {
  const uint32_t words[2] = {static_cast<uint32_t>(seed >> 32), static_cast<uint32_t>(seed)};
  return Array::copy_of(words, {2}, Dtype::uint32);
}

Array bits(const Shape& shape, int width, const Array& key) {
  require_key(key, "bits");
  require_shape(shape, "bits");
  if (width != 1 && width != 2 && width != 4)
    raise<ValueError>("[random.bits] got width=", width, "; expected 1, 2 or 4 bytes");
  (void)size_of(shape);
  const Dtype t = width == 4 ? Dtype::uint32 : width == 2 ? Dtype::uint16 : Dtype::uint8;
  return make_node(RandomBits{width}, shape, t, {key});
}

Array split(const Array& key, int64_t num) {
  if (num < 0) raise<ValueError>("[random.split] got num=", num, "; expected 0 or more");
  return bits({num, 2}, 4, key);
}

std::pair<Array, Array> split(const Array& key) {
  const Array both = bits({2, 2}, 4, key);
  auto row = [&](int64_t i) { return reshape(slice(both, {i, 0}, {1, 2}, {1, 1}), {2}); };
  return {row(0), row(1)};
}

Array uniform(const Array& low, const Array& high, const Shape& shape, Dtype dtype, const Array& key) {
  require_floating(dtype, "uniform");
  require_shape(shape, "uniform");
  const Array lo = astype(low, dtype), range = subtract(astype(high, dtype), lo);
  require_broadcast(range.shape(), shape, "uniform");
  // In float32 whatever the dtype, as in MLX; float64, which MLX refuses, in itself.
  const Dtype t = dtype == Dtype::float64 ? dtype : Dtype::float32;
  const Array most = Array::scalar(std::numeric_limits<uint32_t>::max(), t);
  const Array unit = minimum(divide(astype(bits(shape, 4, key), t), most), Array::scalar(below_one(dtype), t));
  return add(multiply(range, astype(unit, dtype)), lo);
}

Array normal(const Shape& shape, Dtype dtype, const std::optional<Array>& loc, const std::optional<Array>& scale,
             const Array& key) {
  require_floating(dtype, "normal");
  // Drawn in float32 for every dtype, as in MLX, from above -1: erfinv(-1) is -inf.
  const Array u = uniform(Array(std::nextafter(-1.0f, 0.0f)), Array(1.0f), shape, Dtype::float32, key);
  Array factor = Array::scalar(std::sqrt(2.0), dtype);
  if (scale) factor = multiply(factor, astype(*scale, dtype));
  Array x = multiply(factor, astype(erfinv(u), dtype));
  if (loc) x = add(astype(*loc, dtype), x);
  require_broadcast(x.shape(), shape, "normal");
  return x;
}

Array bernoulli(const Array& p, const Shape& shape, const Array& key) {
  require_shape(shape, "bernoulli");
  if (!is_floating(p.dtype()))
    raise<ValueError>("[random.bernoulli] p has dtype ", name(p.dtype()), "; expected floating probabilities");
  require_broadcast(p.shape(), shape, "bernoulli");
  // p on the scale of the bits, a little above their largest value, so that p = 1 is always true.
  const Array scale(std::nextafter(0x1p32f, std::numeric_limits<float>::max()));
  return less(bits(shape, 4, key), multiply(p, scale));
}

Array randint(const Array& low, const Array& high, const Shape& shape, Dtype dtype, const Array& key) {
  if (is_floating(dtype)) raise<ValueError>("[random.randint] got dtype ", name(dtype), "; expected integers or bool");
  // Drawn in float32, as in MLX: a range that float32 cannot tell apart is limited afterwards, in integers.
  const Array u = astype(floor(uniform(low, high, shape, Dtype::float32, key)), dtype);
  const Dtype wide = high.dtype() == Dtype::bool_ ? Dtype::int32 : high.dtype();
  const Array last = astype(subtract(high, Array::scalar_int(1, wide)), dtype);
  return maximum(minimum(u, last), astype(low, dtype));
}

Array truncated_normal(const Array& low, const Array& high, const Shape& shape, Dtype dtype, const Array& key) {
  require_floating(dtype, "truncated_normal");
  const Array root2 = Array::scalar(std::sqrt(2.0), dtype), a = astype(low, dtype), b = astype(high, dtype);
  const Array u = uniform(erf(divide(a, root2)), erf(divide(b, root2)), shape, dtype, key);
  return maximum(minimum(b, multiply(root2, erfinv(u))), a);
}

Array categorical(const Array& logits, int axis, const std::optional<Shape>& shape, std::optional<int64_t> num,
                  const Array& key) {
  const int ax = normalize_axis(axis, logits.ndim(), "random.categorical");
  if (shape && num) raise<ValueError>("[random.categorical] got both shape and num_samples; give one of them");
  Shape rows = logits.shape();
  rows.erase(ax);
  if (num) {
    if (*num < 0) raise<ValueError>("[random.categorical] got num_samples=", *num, "; expected 0 or more");
    rows.push_back(*num);
    return categorical_along(expand_dims(logits, {-1}), ax, rows, key);
  }
  if (!shape) return categorical_along(logits, ax, rows, key);
  require_broadcast(rows, *shape, "categorical");
  return categorical_along(logits, ax, *shape, key);
}

Array permutation(int64_t n, const Array& key) {
  if (n < 0) raise<ValueError>("[random.permutation] got ", n, "; expected 0 or more elements");
  return argsort(bits({n}, 4, key));
}

Array permutation(const Array& x, int axis, const Array& key) {
  const int ax = normalize_axis(axis, x.ndim(), "random.permutation");
  return take(x, permutation(x.shape(ax), key), ax);
}

}  // namespace nhwc::random
