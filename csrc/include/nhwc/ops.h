// csrc/include/nhwc/ops.h -- every operation on arrays; what each does is in the Python docstring of the same name
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "nhwc/array.h"
#include "nhwc/conv_args.h"

// Conventions. Operations validate and raise here, at the call (ValueError, TypeError, IndexError); values are computed
// when they are asked for. Axes may be negative. An `Axes` that is nullopt means all axes. Streams: see StreamScope.

namespace nhwc {

using Axes = std::optional<std::vector<int>>;

// ---- conv.cpp
struct ConvExtras {                       // the additions to MLX's signatures
  std::optional<Array> bias;              // (C_out,)
  std::optional<std::string> activation;  // relu, relu6, leaky_relu, silu, gelu, tanh, sigmoid
  std::optional<std::string> precision;   // default, highest
};
/// `spatial` is the number of spatial axes: 1, 2 or 3; `who` the name in messages.
Array conv(const char* who, int spatial, const Array& input, const Array& weight, const Ints& stride = {1},
           const Padding& padding = Ints{0}, const Ints& dilation = {1}, int64_t groups = 1,
           const ConvExtras& extras = {});
Array conv_transpose(const char* who, int spatial, const Array& input, const Array& weight, const Ints& stride = {1},
                     const Ints& padding = {0}, const Ints& dilation = {1}, const Ints& output_padding = {0},
                     int64_t groups = 1, const ConvExtras& extras = {});
Array conv_general(const Array& input, const Array& weight, const Ints& stride = {1}, const Ints& padding_low = {0},
                   const Ints& padding_high = {0}, const Ints& kernel_dilation = {1}, const Ints& input_dilation = {1},
                   int64_t groups = 1, bool flip = false, const ConvExtras& extras = {});
Array conv1d(const Array& input, const Array& weight, const Ints& stride = {1}, const Padding& padding = Ints{0},
             const Ints& dilation = {1}, int64_t groups = 1, const ConvExtras& extras = {});
Array conv2d(const Array& input, const Array& weight, const Ints& stride = {1}, const Padding& padding = Ints{0},
             const Ints& dilation = {1}, int64_t groups = 1, const ConvExtras& extras = {});
Array conv3d(const Array& input, const Array& weight, const Ints& stride = {1}, const Padding& padding = Ints{0},
             const Ints& dilation = {1}, int64_t groups = 1, const ConvExtras& extras = {});
Array convolve(const Array& a, const Array& v, const std::string& mode = "full");
/// One of the named activations applied elementwise; ValueError listing the known ones.
Array activation(const Array& x, const std::string& name, const char* who);

// ---- creation.cpp
Array zeros(const Shape& shape, Dtype dtype = Dtype::float32);
Array ones(const Shape& shape, Dtype dtype = Dtype::float32);
Array full(const Shape& shape, const Array& value, Dtype dtype);
Array zeros_like(const Array& a);
Array ones_like(const Array& a);
Array full_like(const Array& a, const Array& value, Dtype dtype);
Array arange(double start, double stop, double step, Dtype dtype);
Array linspace(double start, double stop, int64_t num, Dtype dtype = Dtype::float32);
Array eye(int64_t n, int64_t m, int k = 0, Dtype dtype = Dtype::float32);
Array tri(int64_t n, int64_t m, int k = 0, Dtype dtype = Dtype::float32);
Array tril(const Array& x, int k = 0);
Array triu(const Array& x, int k = 0);
Array diag(const Array& x, int k = 0);
Array diagonal(const Array& x, int offset = 0, int axis1 = 0, int axis2 = 1);
Arrays meshgrid(const Arrays& arrays, bool sparse = false, const std::string& indexing = "xy");

// ---- elementwise.cpp: dtypes promoted, shapes broadcast
Array astype(const Array& a, Dtype dtype);
#define NHWC_UNARY(n) Array n(const Array& a);
#define NHWC_BINARY(n) Array n(const Array& a, const Array& b);
#include "nhwc/kinds.inc"
inline Array operator+(const Array& a, const Array& b) { return add(a, b); }
inline Array operator-(const Array& a, const Array& b) { return subtract(a, b); }
inline Array operator*(const Array& a, const Array& b) { return multiply(a, b); }
inline Array operator/(const Array& a, const Array& b) { return divide(a, b); }
inline Array operator-(const Array& a) { return negative(a); }
Array logical_xor(const Array& a, const Array& b);
Array round(const Array& a, int decimals);
Array clip(const Array& a, const std::optional<Array>& low, const std::optional<Array>& high);
Array where(const Array& condition, const Array& a, const Array& b);
Array nan_to_num(const Array& a, double nan = 0.0, std::optional<double> posinf = {},
                 std::optional<double> neginf = {});
Array isclose(const Array& a, const Array& b, double rtol = 1e-5, double atol = 1e-8, bool equal_nan = false);
Array allclose(const Array& a, const Array& b, double rtol = 1e-5, double atol = 1e-8, bool equal_nan = false);
Array array_equal(const Array& a, const Array& b, bool equal_nan = false);
Array stop_gradient(const Array& a);
/// `a`, evaluated only after `others`.
Array depends(const Array& a, const Arrays& others);
/// The dtype in which arrays are combined; scalars given as Python numbers are weak and are converted before.
Dtype result_type(const Arrays& arrays);

// ---- reduce.cpp
Array sum(const Array& a, const Axes& axes = {}, bool keepdims = false);
Array mean(const Array& a, const Axes& axes = {}, bool keepdims = false);
Array prod(const Array& a, const Axes& axes = {}, bool keepdims = false);
Array max(const Array& a, const Axes& axes = {}, bool keepdims = false);
Array min(const Array& a, const Axes& axes = {}, bool keepdims = false);
Array all(const Array& a, const Axes& axes = {}, bool keepdims = false);
Array any(const Array& a, const Axes& axes = {}, bool keepdims = false);
Array var(const Array& a, const Axes& axes = {}, bool keepdims = false, int ddof = 0);
Array std(const Array& a, const Axes& axes = {}, bool keepdims = false, int ddof = 0);
Array logsumexp(const Array& a, const Axes& axes = {}, bool keepdims = false);
Array softmax(const Array& a, const Axes& axes = {}, bool precise = false);
Array argmax(const Array& a, std::optional<int> axis = {}, bool keepdims = false);
Array argmin(const Array& a, std::optional<int> axis = {}, bool keepdims = false);
Array cumsum(const Array& a, std::optional<int> axis = {}, bool reverse = false, bool inclusive = true);
Array cumprod(const Array& a, std::optional<int> axis = {}, bool reverse = false, bool inclusive = true);
Array sort(const Array& a, std::optional<int> axis = -1);
Array argsort(const Array& a, std::optional<int> axis = -1);
Array topk(const Array& a, int64_t k, std::optional<int> axis = -1);

// ---- shape.cpp
Array reshape(const Array& a, const Dims& shape);  // one size may be -1
Array flatten(const Array& a, int start_axis = 0, int end_axis = -1);
Array unflatten(const Array& a, int axis, const Dims& shape);
Array transpose(const Array& a, const Axes& axes = {});
Array swapaxes(const Array& a, int axis1, int axis2);
Array moveaxis(const Array& a, int source, int destination);
Array squeeze(const Array& a, const Axes& axes = {});
Array expand_dims(const Array& a, const std::vector<int>& axes);
Array broadcast_to(const Array& a, const Shape& shape);
Arrays broadcast_arrays(const Arrays& arrays);
Array concatenate(const Arrays& arrays, int axis = 0);
Array stack(const Arrays& arrays, int axis = 0);
Arrays split(const Array& a, int64_t sections, int axis = 0);
Arrays split_at(const Array& a, const Dims& indices, int axis = 0);
Array repeat(const Array& a, int64_t repeats, std::optional<int> axis = {});
Array tile(const Array& a, const Dims& reps);
enum class PadMode { constant, edge, reflect, symmetric };
Array pad(const Array& a, const std::vector<std::pair<int64_t, int64_t>>& width, const Array& value,
          PadMode mode = PadMode::constant);
Array roll(const Array& a, const Dims& shift, const Axes& axes = {});
Array flip(const Array& a, const Axes& axes = {});
Array contiguous(const Array& a);

// ---- indexing.cpp
/// NumPy's a[start:stop:step] with everything resolved: element i along axis k of the result is a[start[k] + i *
/// step[k]].
Array slice(const Array& a, const Dims& start, const Shape& result, const Dims& step);
enum class Update { set, add, multiply, maximum, minimum };
/// `a` with the places that slice(a, start, update.shape, step) reads combined with `update` (broadcast and cast by the
/// caller).
Array slice_update(const Array& a, const Array& update, const Dims& start, const Dims& step, Update mode = Update::set);
Array take(const Array& a, const Array& indices, std::optional<int> axis = {});
Array take_along_axis(const Array& a, const Array& indices, std::optional<int> axis = {});
Array put_along_axis(const Array& a, const Array& indices, const Array& values, std::optional<int> axis = {});
/// Integer arrays along `axes`, broadcast together: see the Gather primitive for the result's shape.
Array gather(const Array& a, const Arrays& indices, const std::vector<int>& axes, const Shape& slice_sizes);
Array scatter(const Array& a, const Arrays& indices, const Array& updates, const std::vector<int>& axes,
              Update mode = Update::set);

// ---- linalg.cpp
Array matmul(const Array& a, const Array& b);
Array addmm(const Array& c, const Array& a, const Array& b, double alpha = 1, double beta = 1);
Array outer(const Array& a, const Array& b);
Array inner(const Array& a, const Array& b);
Array tensordot(const Array& a, const Array& b, int axes = 2);
Array tensordot(const Array& a, const Array& b, const std::vector<int>& axes_a, const std::vector<int>& axes_b);
Array einsum(const std::string& subscripts, const Arrays& operands);
/// ord: nullopt for the 2-norm of the flattened axes; a number for a vector norm; "fro" or "inf"-like words for
/// matrices.
Array norm(const Array& a, const std::variant<std::monostate, double, std::string>& ord = {}, const Axes& axes = {},
           bool keepdims = false);
Array layer_norm(const Array& x, const std::optional<Array>& weight, const std::optional<Array>& bias, double eps);
Array rms_norm(const Array& x, const std::optional<Array>& weight, double eps);

// ---- random.cpp (namespace random)
namespace random {
Array key(uint64_t seed);
Array bits(const Shape& shape, int width, const Array& key);
std::pair<Array, Array> split(const Array& key);
Array split(const Array& key, int64_t num);
Array uniform(const Array& low, const Array& high, const Shape& shape, Dtype dtype, const Array& key);
Array normal(const Shape& shape, Dtype dtype, const std::optional<Array>& loc, const std::optional<Array>& scale,
             const Array& key);
Array bernoulli(const Array& p, const Shape& shape, const Array& key);
Array randint(const Array& low, const Array& high, const Shape& shape, Dtype dtype, const Array& key);
Array truncated_normal(const Array& low, const Array& high, const Shape& shape, Dtype dtype, const Array& key);
/// `num` samples a row where given (a trailing axis), else one of `shape` where given, else one a row.
Array categorical(const Array& logits, int axis, const std::optional<Shape>& shape, std::optional<int64_t> num,
                  const Array& key);
Array permutation(const Array& x, int axis, const Array& key);
Array permutation(int64_t n, const Array& key);
}  // namespace random

}  // namespace nhwc
