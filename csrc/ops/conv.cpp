// csrc/ops/conv.cpp -- convolutions: what a user may write becomes a ConvGeometry and a node
#include "ops/conv.h"

#include <algorithm>
#include <array>
#include <tuple>

#include "ops/common.h"

namespace nhwc {
namespace {

constexpr const char* kInputLayouts[] = {"(N, W, C)", "(N, H, W, C)", "(N, D, H, W, C)"};
constexpr const char* kWeightLayouts[] = {"(O, W, C / groups)", "(O, H, W, C / groups)", "(O, D, H, W, C / groups)"};
constexpr const char* kAxisNames[3][3] = {{"W"}, {"H", "W"}, {"D", "H", "W"}};

/// A value per spatial axis; those past the last do not count.
using PerAxis = std::array<int64_t, 3>;
constexpr PerAxis kOnes{1, 1, 1};

/// A call while it is checked.
struct Call {
  const char* who;
  int spatial;
  PerAxis stride, dilation, in_dilation, low, high;
  int64_t groups;
  bool flip;
  bool transposed = false;
};

PerAxis one_per_axis(const Ints& v, int spatial, const char* who, const char* what) {
  if (v.size() == 1) return {v[0], v[0], v[0]};
  if (static_cast<int>(v.size()) != spatial)
    raise<ValueError>("[", who, "] got ", v.size(), " values for ", what, "; expected 1, or ", spatial,
                      ": one per spatial axis");
  PerAxis out = kOnes;
  std::copy(v.begin(), v.end(), out.begin());
  return out;
}

void require_positive(const PerAxis& v, const char* who, const char* what) {
  for (int64_t x : v)
    if (x <= 0) raise<ValueError>("[", who, "] ", what, " must be at least 1, got ", x);
}

void require_kernel(const Array& weight, const char* who, int spatial) {
  for (int i = 0; i < spatial; ++i)
    if (weight.shape(i + 1) == 0)
      raise<ValueError>("[", who, "] the kernel has size 0 along ", kAxisNames[spatial - 1][i], ", weight ",
                        to_string(weight.shape()), "; expected at least 1");
}

// Only the input: an integer weight or bias is promoted, as in MLX.
void require_floating(const Array& input, const char* who) {
  if (is_floating(input.dtype())) return;
  raise<ValueError>("[", who, "] input has dtype ", name(input.dtype()),
                    "; expected float16, bfloat16, float32 or float64: convert with astype");
}

void require_ranks(const Array& input, const Array& weight, const char* who, int spatial) {
  if (input.ndim() != spatial + 2)
    raise<ValueError>("[", who, "] input has ", input.ndim(), " dimensions, shape ", to_string(input.shape()),
                      "; expected ", spatial + 2, ": ", kInputLayouts[spatial - 1]);
  if (weight.ndim() != input.ndim())
    raise<ValueError>("[", who, "] weight has ", weight.ndim(), " dimensions, shape ", to_string(weight.shape()),
                      ", and the input has ", input.ndim(), "; expected a weight (C_out, ..., C_in / groups) with ",
                      spatial, " kernel sizes in between");
}

// Arithmetic on what a user may have given: no size wraps around.
struct Checked {
  const char* who;
  int64_t mul(int64_t a, int64_t b) const {
    int64_t r;
    if (__builtin_mul_overflow(a, b, &r)) too_large();
    return r;
  }
  int64_t add(int64_t a, int64_t b) const {
    int64_t r;
    if (__builtin_add_overflow(a, b, &r)) too_large();
    return r;
  }
  [[noreturn]] void too_large() const {
    raise<ValueError>("[", who, "] stride, padding, dilation and sizes together exceed 64 bits; make them smaller");
  }
};

void require_channels(const Array& input, const Array& weight, const char* who, int64_t groups) {
  const int64_t c = input.shape(-1), o = weight.shape(0), per_group = weight.shape(-1);
  if (groups <= 0) raise<ValueError>("[", who, "] groups must be at least 1, got ", groups);
  if (c % groups != 0 || o % groups != 0)
    raise<ValueError>("[", who, "] groups=", groups, " must divide the input's ", c, " channels and the weight's ", o,
                      " output channels; input ", to_string(input.shape()), ", weight ", to_string(weight.shape()));
  if (c / groups != per_group)
    raise<ValueError>("[", who, "] input has ", c, " channels but weight ", to_string(weight.shape()),
                      " with groups=", groups, " expects ", Checked{who}.mul(per_group, groups), "; inputs are ",
                      kInputLayouts[input.ndim() - 3], ", weights ", kWeightLayouts[input.ndim() - 3]);
}

// out = floor((dilated + low + high - (dilation * (K - 1) + 1)) / stride) + 1, or an error naming the axis.
int64_t output_size(const Call& c, int axis, int64_t in, int64_t kernel) {
  const Checked size{c.who};
  const int64_t dilated = in == 0 ? 0 : size.add(size.mul(c.in_dilation[axis], in - 1), 1);
  const int64_t padded = size.add(size.add(dilated, c.low[axis]), c.high[axis]);
  const int64_t extent = size.add(size.mul(c.dilation[axis], kernel - 1), 1);
  if (extent > padded && !c.transposed)  // else transposed_padding has looked
    raise<ValueError>("[", c.who, "] the kernel reaches over ", extent, " elements along ",
                      kAxisNames[c.spatial - 1][axis], " (size ", kernel, ", dilation ", c.dilation[axis],
                      ") but the padded input has only ", padded, " (size ", in, ", padding ", c.low[axis], " and ",
                      c.high[axis], "); pad more or use a smaller kernel");
  return (size.add(padded, -extent)) / c.stride[axis] + 1;
}

// Steps between things of which there is one only are written as 1: equal problems get equal plans, and no step is
// larger than what it leads through.
void normalize_steps(ConvGeometry& g, int at) {
  if (g.out[at] <= 1) g.stride[at] = 1;
  if (g.kernel[at] <= 1) g.dilation[at] = 1;
  if (g.in[at] <= 1) g.in_dilation[at] = 1;
}

std::shared_ptr<const ConvGeometry> geometry_of(const Call& c, const Array& input, const Array& weight, bool highest) {
  auto g = std::make_shared<ConvGeometry>();
  g->rank = c.spatial;
  g->batch = input.shape(0);
  g->in_channels = input.shape(-1);
  g->out_channels = weight.shape(0);
  g->groups = c.groups;
  g->flip = c.flip;
  g->highest_precision = highest;
  for (int i = 0; i < c.spatial; ++i) {
    const int at = 3 - c.spatial + i;  // the last spatial axes; the ones before stay 1
    g->in[at] = input.shape(i + 1);
    g->kernel[at] = weight.shape(i + 1);
    g->out[at] = output_size(c, i, g->in[at], g->kernel[at]);
    g->stride[at] = c.stride[i];
    g->dilation[at] = c.dilation[i];
    g->in_dilation[at] = c.in_dilation[i];
    g->pad[at] = c.low[i];
    normalize_steps(*g, at);
  }
  return g;
}

bool wants_highest(const ConvExtras& extras, const char* who) {
  if (!extras.precision || *extras.precision == "default") return false;
  if (*extras.precision == "highest") return true;
  raise<ValueError>("[", who, "] got precision=\"", *extras.precision, "\"; expected \"default\" or \"highest\"");
}

// The validated call as nodes: convolution, bias, activation. The scheduler computes them in one pass.
Array finish(const Call& c, const Array& input, const Array& weight, const ConvExtras& extras) {
  Dtype t = promote_types(input.dtype(), weight.dtype());
  if (extras.bias) {
    if (extras.bias->shape() != Shape{weight.shape(0)})
      raise<ValueError>("[", c.who, "] bias has shape ", to_string(extras.bias->shape()), "; expected (",
                        weight.shape(0), ",), one value per output channel");
    t = promote_types(t, extras.bias->dtype());
  }
  auto g = geometry_of(c, input, weight, wants_highest(extras, c.who));
  Array y = conv_node(ConvKind::forward, std::move(g), astype(input, t), astype(weight, t));
  (void)y.size();  // too many elements to count is the caller's mistake, said here
  if (extras.bias) y = add(y, astype(*extras.bias, t));
  if (extras.activation) y = activation(y, *extras.activation, c.who);
  return y;
}

// Negative padding crops the input, before it is dilated.
Array crop(const Array& input, Call& c) {
  Dims start(input.shape().size(), 0), step(input.shape().size(), 1);
  Shape rest = input.shape();
  for (int i = 0; i < c.spatial; ++i) {
    // What is cut off; beyond the input's size it does not matter how much (and INT64_MIN has no opposite).
    const int64_t limit = -(rest[i + 1] + 1);
    const int64_t low = -std::clamp<int64_t>(c.low[i], limit, 0), high = -std::clamp<int64_t>(c.high[i], limit, 0);
    if (high > rest[i + 1] - low)
      raise<ValueError>("[", c.who, "] negative padding (", c.low[i], ", ", c.high[i],
                        ") crops more than the input has along ", kAxisNames[c.spatial - 1][i], ": size ", rest[i + 1]);
    rest[i + 1] -= low + high;
    start[i + 1] = rest[i + 1] > 0 ? low : 0;
    c.low[i] = std::max<int64_t>(c.low[i], 0);
    c.high[i] = std::max<int64_t>(c.high[i], 0);
  }
  return slice(input, start, rest, step);
}

Array crop_and_finish(Call& c, const Array& input, const Array& weight, const ConvExtras& extras) {
  const bool crops = std::min({c.low[0], c.low[1], c.low[2], c.high[0], c.high[1], c.high[2]}) < 0;
  if (crops) return finish(c, crop(input, c), weight, extras);
  return finish(c, input, weight, extras);
}

void require_common(const Call& c, const Array& input, const Array& weight) {
  require_ranks(input, weight, c.who, c.spatial);
  require_floating(input, c.who);
  require_positive(c.stride, c.who, "stride");
  require_positive(c.dilation, c.who, c.who == std::string("conv_general") ? "kernel_dilation" : "dilation");
  require_positive(c.in_dilation, c.who, "input_dilation");
  require_channels(input, weight, c.who, c.groups);
  require_kernel(weight, c.who, c.spatial);
}

// Padding by a word, for one axis.
std::pair<int64_t, int64_t> padding_by_name(const std::string& word, const Call& c, int axis, int64_t in,
                                            int64_t kernel) {
  const Checked size{c.who};
  const int64_t reach = size.mul(c.dilation[axis], kernel - 1);
  if (word == "valid") return {0, 0};
  if (word == "causal") return {reach, 0};
  const int64_t out = in / c.stride[axis] + (in % c.stride[axis] != 0);
  const int64_t needed = out == 0 ? 0 : size.add(size.add(size.mul(out - 1, c.stride[axis]), reach), 1 - in);
  const int64_t total = std::max<int64_t>(needed, 0);
  return {total / 2, total - total / 2};
}

void resolve_padding(Call& c, const Padding& padding, const Array& input, const Array& weight) {
  if (const auto* values = std::get_if<Ints>(&padding)) {
    c.low = c.high = one_per_axis(*values, c.spatial, c.who, "padding");
    return;
  }
  if (const auto* pairs = std::get_if<std::vector<std::pair<int64_t, int64_t>>>(&padding)) {
    if (static_cast<int>(pairs->size()) != c.spatial)
      raise<ValueError>("[", c.who, "] got ", pairs->size(), " (low, high) pairs of padding; expected ", c.spatial,
                        ": one per spatial axis");
    for (int i = 0; i < c.spatial; ++i) std::tie(c.low[i], c.high[i]) = (*pairs)[i];
    return;
  }
  const auto& word = std::get<std::string>(padding);
  if (word != "valid" && word != "same" && !(word == "causal" && c.spatial == 1))
    raise<ValueError>("[", c.who, "] got padding=\"", word, "\"; expected \"valid\", \"same\"",
                      c.spatial == 1 ? " or \"causal\"" : "", ", numbers, or (low, high) pairs",
                      word == "causal" ? "; \"causal\" is for conv1d" : "");
  for (int i = 0; i < c.spatial; ++i)
    std::tie(c.low[i], c.high[i]) = padding_by_name(word, c, i, input.shape(i + 1), weight.shape(i + 1));
}

// A transposed convolution is one over the input spread out by `stride`, its kernel turned round. Padding beyond the
// kernel's reach crops the spread input, which is what a negative ConvGeometry::pad means.
std::pair<int64_t, int64_t> transposed_padding(const Call& c, int axis, int64_t in, int64_t kernel, int64_t pad,
                                               int64_t extra) {
  const Checked size{c.who};
  const int64_t stride = c.in_dilation[axis], reach = size.mul(c.dilation[axis], kernel - 1);
  const int64_t low = size.add(reach, size.mul(pad, -1));
  int64_t high = size.add(low, extra);
  if (in == 0) high = size.add(high, 1 - stride);  // (0 - 1) * stride + 1, where the spread input has size 0
  const int64_t spread = size.add(size.mul(in - 1, stride), 1);
  const int64_t out = size.add(size.add(spread, size.mul(pad, -2)), size.add(reach, extra));
  if (out < 0)
    raise<ValueError>("[", c.who, "] the output would have size ", out, " along ", kAxisNames[c.spatial - 1][axis],
                      ": (size ", in, " - 1) * stride ", stride, " - 2 * padding ", pad, " + dilation ",
                      c.dilation[axis], " * (kernel ", kernel, " - 1) + 1 + output_padding ", extra,
                      "; use a smaller padding");
  return {low, high};
}

Shape with_channels(int64_t first, const int64_t sizes[3], int rank, int64_t last) {
  Shape s{first};
  for (int i = 3 - rank; i < 3; ++i) s.push_back(sizes[i]);
  s.push_back(last);
  return s;
}

}  // namespace

Shape conv_input_shape(const ConvGeometry& g) { return with_channels(g.batch, g.in, g.rank, g.in_channels); }
Shape conv_weight_shape(const ConvGeometry& g) {
  return with_channels(g.out_channels, g.kernel, g.rank, g.groups ? g.in_channels / g.groups : 0);
}
Shape conv_output_shape(const ConvGeometry& g) { return with_channels(g.batch, g.out, g.rank, g.out_channels); }

Array conv_node(ConvKind kind, std::shared_ptr<const ConvGeometry> g, Array a, Array b) {
  NHWC_CHECK(a.dtype() == b.dtype() && is_floating(a.dtype()), "operands of a convolution differ in dtype");
  Shape out = kind == ConvKind::forward      ? conv_output_shape(*g)
              : kind == ConvKind::input_grad ? conv_input_shape(*g)
                                             : conv_weight_shape(*g);
  const Dtype t = a.dtype();
  return make_node(Conv{kind, std::move(g)}, std::move(out), t, inputs_of(std::move(a), std::move(b)));
}

Array activation(const Array& x, const std::string& word, const char* who) {
  if (word == "relu") return relu(x);
  if (word == "relu6") return relu6(x);
  if (word == "leaky_relu") return leaky_relu(x);
  if (word == "silu") return silu(x);
  if (word == "gelu") return gelu(x);
  if (word == "tanh") return tanh(x);
  if (word == "sigmoid") return sigmoid(x);
  raise<ValueError>("[", who, "] got activation=\"", word,
                    "\"; expected \"relu\", \"relu6\", \"leaky_relu\", \"silu\", \"gelu\", \"tanh\" or \"sigmoid\"");
}

Array conv(const char* who, int spatial, const Array& input, const Array& weight, const Ints& stride,
           const Padding& padding, const Ints& dilation, int64_t groups, const ConvExtras& extras) {
  Call c{who,
         spatial,
         one_per_axis(stride, spatial, who, "stride"),
         one_per_axis(dilation, spatial, who, "dilation"),
         kOnes,
         {},
         {},
         groups,
         false};
  require_common(c, input, weight);
  resolve_padding(c, padding, input, weight);
  return crop_and_finish(c, input, weight, extras);
}

Array conv_general(const Array& input, const Array& weight, const Ints& stride, const Ints& padding_low,
                   const Ints& padding_high, const Ints& kernel_dilation, const Ints& input_dilation, int64_t groups,
                   bool flip, const ConvExtras& extras) {
  const char* who = "conv_general";
  if (input.ndim() < 3 || input.ndim() > 5)
    raise<ValueError>("[conv_general] input has ", input.ndim(), " dimensions, shape ", to_string(input.shape()),
                      "; expected 3 (N, W, C), 4 (N, H, W, C) or 5 (N, D, H, W, C)");
  const int n = input.ndim() - 2;
  Call c{who,
         n,
         one_per_axis(stride, n, who, "stride"),
         one_per_axis(kernel_dilation, n, who, "kernel_dilation"),
         one_per_axis(input_dilation, n, who, "input_dilation"),
         one_per_axis(padding_low, n, who, "padding"),
         one_per_axis(padding_high, n, who, "padding"),
         groups,
         flip};
  require_common(c, input, weight);
  return crop_and_finish(c, input, weight, extras);
}

Array conv_transpose(const char* who, int spatial, const Array& input, const Array& weight, const Ints& stride,
                     const Ints& padding, const Ints& dilation, const Ints& output_padding, int64_t groups,
                     const ConvExtras& extras) {
  const PerAxis steps = one_per_axis(stride, spatial, who, "stride"),
                pads = one_per_axis(padding, spatial, who, "padding");
  const PerAxis extra = one_per_axis(output_padding, spatial, who, "output_padding");
  Call c{who, spatial, kOnes, one_per_axis(dilation, spatial, who, "dilation"), steps, {}, {}, groups, true, true};
  require_ranks(input, weight, who, spatial);
  require_positive(steps, who, "stride");
  require_common(c, input, weight);
  for (int i = 0; i < spatial; ++i) {
    const int64_t most = std::max(steps[i], c.dilation[i]);
    if (extra[i] < 0 || extra[i] >= most)
      raise<ValueError>("[", who, "] output_padding ", extra[i], " along ", kAxisNames[spatial - 1][i],
                        " must be at least 0 and less than ", most, ", the larger of stride and dilation");
    std::tie(c.low[i], c.high[i]) =
        transposed_padding(c, i, input.shape(i + 1), weight.shape(i + 1), pads[i], extra[i]);
  }
  return finish(c, input, weight, extras);
}

Array conv1d(const Array& input, const Array& weight, const Ints& stride, const Padding& padding, const Ints& dilation,
             int64_t groups, const ConvExtras& extras) {
  return conv("conv1d", 1, input, weight, stride, padding, dilation, groups, extras);
}
Array conv2d(const Array& input, const Array& weight, const Ints& stride, const Padding& padding, const Ints& dilation,
             int64_t groups, const ConvExtras& extras) {
  return conv("conv2d", 2, input, weight, stride, padding, dilation, groups, extras);
}
Array conv3d(const Array& input, const Array& weight, const Ints& stride, const Padding& padding, const Ints& dilation,
             int64_t groups, const ConvExtras& extras) {
  return conv("conv3d", 3, input, weight, stride, padding, dilation, groups, extras);
}

Array convolve(const Array& a, const Array& v, const std::string& mode) {
  if (a.ndim() != 1 || v.ndim() != 1)
    raise<ValueError>("[convolve] got arrays of shapes ", to_string(a.shape()), " and ", to_string(v.shape()),
                      "; expected 1 dimension each");
  if (a.size() == 0 || v.size() == 0)
    raise<ValueError>("[convolve] got an empty array; expected at least one element each");
  if (mode != "full" && mode != "same" && mode != "valid")
    raise<ValueError>("[convolve] got mode=\"", mode, "\"; expected \"full\", \"same\" or \"valid\"");
  // Commutative: the shorter one is the kernel.
  const bool swapped = a.size() < v.size();
  const Array &x = swapped ? v : a, &w = swapped ? a : v;
  const Dtype t = to_floating(promote_types(a.dtype(), v.dtype()));
  const int64_t k = w.size();
  Ints low{0}, high{0};
  if (mode == "full") low = high = {k - 1};
  if (mode == "same") {
    low = {k / 2};
    high = {k - 1 - k / 2};
  }
  const Array y = conv_general(reshape(astype(x, t), {1, x.size(), 1}), reshape(astype(w, t), {1, k, 1}), {1}, low,
                               high, {1}, {1}, 1, true);
  return reshape(y, {y.size()});
}

}  // namespace nhwc
