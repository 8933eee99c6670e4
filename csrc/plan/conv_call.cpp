// csrc/plan/conv_call.cpp -- what a user may write of a convolution, checked, becomes a ConvGeometry; raises ValueError
#include "plan/conv_call.h"

#include <algorithm>
#include <tuple>

#include "nhwc/error.h"

namespace nhwc {
namespace {

constexpr const char* kInputLayouts[] = {"(N, W, C)", "(N, H, W, C)", "(N, D, H, W, C)"};
constexpr const char* kWeightLayouts[] = {"(O, W, C / groups)", "(O, H, W, C / groups)", "(O, D, H, W, C / groups)"};
constexpr const char* kAxisNames[3][3] = {{"W"}, {"H", "W"}, {"D", "H", "W"}};

constexpr PerAxis kOnes{1, 1, 1};

int ndim(const Shape& s) { return static_cast<int>(s.size()); }
/// Along a spatial axis.
int64_t size_along(const Shape& s, int axis) { return s[static_cast<size_t>(axis + 1)]; }

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

void require_kernel(const Shape& weight, const char* who, int spatial) {
  for (int i = 0; i < spatial; ++i)
    if (size_along(weight, i) == 0)
      raise<ValueError>("[", who, "] the kernel has size 0 along ", kAxisNames[spatial - 1][i], ", weight ",
                        to_string(weight), "; expected at least 1");
}

// Only the input: an integer weight or bias is promoted, as in MLX.
void require_floating(Dtype input, const char* who) {
  if (is_floating(input)) return;
  raise<ValueError>("[", who, "] input has dtype ", name(input),
                    "; expected float16, bfloat16, float32 or float64: convert with astype");
}

void require_ranks(const Shape& input, const Shape& weight, const char* who, int spatial) {
  if (ndim(input) != spatial + 2)
    raise<ValueError>("[", who, "] input has ", ndim(input), " dimensions, shape ", to_string(input), "; expected ",
                      spatial + 2, ": ", kInputLayouts[spatial - 1]);
  if (ndim(weight) != ndim(input))
    raise<ValueError>("[", who, "] weight has ", ndim(weight), " dimensions, shape ", to_string(weight),
                      ", and the input has ", ndim(input), "; expected a weight (C_out, ..., C_in / groups) with ",
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

void require_channels(const Shape& input, const Shape& weight, const char* who, int64_t groups) {
  const int64_t c = input.back(), o = weight[0], per_group = weight.back();
  if (groups <= 0) raise<ValueError>("[", who, "] groups must be at least 1, got ", groups);
  if (c % groups != 0 || o % groups != 0)
    raise<ValueError>("[", who, "] groups=", groups, " must divide the input's ", c, " channels and the weight's ", o,
                      " output channels; input ", to_string(input), ", weight ", to_string(weight));
  if (c / groups != per_group)
    raise<ValueError>("[", who, "] input has ", c, " channels but weight ", to_string(weight), " with groups=", groups,
                      " expects ", Checked{who}.mul(per_group, groups), "; inputs are ", kInputLayouts[ndim(input) - 3],
                      ", weights ", kWeightLayouts[ndim(input) - 3]);
}

// out = floor((dilated + low + high - (dilation * (K - 1) + 1)) / stride) + 1, or an error naming the axis.
int64_t output_size(const ConvCall& c, int axis, int64_t in, int64_t kernel) {
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

void require_common(const ConvCall& c, Dtype dtype) {
  require_ranks(*c.input, *c.weight, c.who, c.spatial);
  require_floating(dtype, c.who);
  require_positive(c.stride, c.who, "stride");
  require_positive(c.dilation, c.who, c.who == std::string("conv_general") ? "kernel_dilation" : "dilation");
  require_positive(c.in_dilation, c.who, "input_dilation");
  require_channels(*c.input, *c.weight, c.who, c.groups);
  require_kernel(*c.weight, c.who, c.spatial);
}

// Padding by a word, for one axis.
std::pair<int64_t, int64_t> padding_by_name(const std::string& word, const ConvCall& c, int axis, int64_t in,
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

void resolve_padding(ConvCall& c, const Padding& padding) {
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
    std::tie(c.low[i], c.high[i]) = padding_by_name(word, c, i, size_along(*c.input, i), size_along(*c.weight, i));
}

// A transposed convolution is one over the input spread out by `stride`, its kernel turned round. Padding beyond the
// kernel's reach crops the spread input, which is what a negative ConvGeometry::pad means.
std::pair<int64_t, int64_t> transposed_padding(const ConvCall& c, int axis, int64_t in, int64_t kernel, int64_t pad,
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

ConvCall conv_call(const char* who, int spatial, const Shape& input, Dtype dtype, const Shape& weight,
                   const Ints& stride, const Padding& padding, const Ints& dilation, int64_t groups) {
  ConvCall c{who,
             spatial,
             &input,
             &weight,
             one_per_axis(stride, spatial, who, "stride"),
             one_per_axis(dilation, spatial, who, "dilation"),
             kOnes};
  c.groups = groups;
  require_common(c, dtype);
  resolve_padding(c, padding);
  return c;
}

ConvCall conv_general_call(const Shape& input, Dtype dtype, const Shape& weight, const Ints& stride,
                           const Ints& padding_low, const Ints& padding_high, const Ints& kernel_dilation,
                           const Ints& input_dilation, int64_t groups, bool flip) {
  const char* who = "conv_general";
  if (ndim(input) < 3 || ndim(input) > 5)
    raise<ValueError>("[conv_general] input has ", ndim(input), " dimensions, shape ", to_string(input),
                      "; expected 3 (N, W, C), 4 (N, H, W, C) or 5 (N, D, H, W, C)");
  const int n = ndim(input) - 2;
  ConvCall c{who,
             n,
             &input,
             &weight,
             one_per_axis(stride, n, who, "stride"),
             one_per_axis(kernel_dilation, n, who, "kernel_dilation"),
             one_per_axis(input_dilation, n, who, "input_dilation"),
             one_per_axis(padding_low, n, who, "padding"),
             one_per_axis(padding_high, n, who, "padding"),
             groups,
             flip};
  require_common(c, dtype);
  return c;
}

ConvCall conv_transpose_call(const char* who, int spatial, const Shape& input, Dtype dtype, const Shape& weight,
                             const Ints& stride, const Ints& padding, const Ints& dilation, const Ints& output_padding,
                             int64_t groups) {
  const PerAxis steps = one_per_axis(stride, spatial, who, "stride"),
                pads = one_per_axis(padding, spatial, who, "padding");
  const PerAxis extra = one_per_axis(output_padding, spatial, who, "output_padding");
  ConvCall c{who, spatial, &input, &weight, kOnes, one_per_axis(dilation, spatial, who, "dilation"), steps};
  c.groups = groups;
  c.flip = c.transposed = true;
  require_ranks(input, weight, who, spatial);
  require_positive(steps, who, "stride");
  require_common(c, dtype);
  for (int i = 0; i < spatial; ++i) {
    const int64_t most = std::max(steps[i], c.dilation[i]);
    if (extra[i] < 0 || extra[i] >= most)
      raise<ValueError>("[", who, "] output_padding ", extra[i], " along ", kAxisNames[spatial - 1][i],
                        " must be at least 0 and less than ", most, ", the larger of stride and dilation");
    std::tie(c.low[i], c.high[i]) =
        transposed_padding(c, i, size_along(input, i), size_along(weight, i), pads[i], extra[i]);
  }
  return c;
}

ConvCall conv_call_of_shapes(const char* who, const Shape& input, Dtype dtype, const Shape& weight, const Shape& output,
                             const Ints& stride, const Ints& low, const Ints& dilation, const Ints& input_dilation,
                             int64_t groups, bool flip) {
  const size_t n = stride.size();
  const int spatial = static_cast<int>(n);
  if (n < 1 || n > 3 || low.size() != n || dilation.size() != n || input_dilation.size() != n)
    raise<ValueError>("[", who, "] expected 1 to 3 strides, and as many dilations and paddings");
  ConvCall c{who, spatial, &input, &weight, kOnes, kOnes, kOnes};
  std::copy(stride.begin(), stride.end(), c.stride.begin());
  std::copy(dilation.begin(), dilation.end(), c.dilation.begin());
  std::copy(input_dilation.begin(), input_dilation.end(), c.in_dilation.begin());
  std::copy(low.begin(), low.end(), c.low.begin());
  c.groups = groups;
  c.flip = flip;
  c.transposed = true;
  require_common(c, dtype);
  if (ndim(output) != spatial + 2 || output[0] != input[0] || output.back() != weight[0])
    raise<ValueError>("[", who, "] an output of shape ", to_string(output), " does not fit input ", to_string(input),
                      " and weight ", to_string(weight));
  const Checked size{who};
  for (int i = 0; i < spatial; ++i) {
    const int64_t in = size_along(input, i);
    const int64_t reach = size.mul(c.dilation[i], size_along(weight, i) - 1);
    const int64_t read = size.add(size.mul(size_along(output, i) - 1, c.stride[i]), size.add(reach, 1));
    const int64_t dilated = in == 0 ? 0 : size.add(size.mul(c.in_dilation[i], in - 1), 1);
    c.high[i] = size.add(read, size.mul(size.add(dilated, c.low[i]), -1));
  }
  return c;
}

bool crops(const ConvCall& c) {
  return !c.transposed && std::min({c.low[0], c.low[1], c.low[2], c.high[0], c.high[1], c.high[2]}) < 0;
}

Crop crop_input(ConvCall& c) {
  Crop crop{Dims(c.input->size(), 0), *c.input};
  for (int i = 0; i < c.spatial; ++i) {
    const auto at = static_cast<size_t>(i + 1);
    int64_t& rest = crop.rest[at];
    // What is cut off; beyond the input's size it does not matter how much (and INT64_MIN has no opposite).
    const int64_t limit = -(rest + 1);
    const int64_t low = -std::clamp<int64_t>(c.low[i], limit, 0), high = -std::clamp<int64_t>(c.high[i], limit, 0);
    if (high > rest - low)
      raise<ValueError>("[", c.who, "] negative padding (", c.low[i], ", ", c.high[i],
                        ") crops more than the input has along ", kAxisNames[c.spatial - 1][i], ": size ", rest);
    rest -= low + high;
    crop.start[at] = rest > 0 ? low : 0;
    c.low[i] = std::max<int64_t>(c.low[i], 0);
    c.high[i] = std::max<int64_t>(c.high[i], 0);
  }
  return crop;
}

void require_bias(const ConvCall& c, const Shape& bias) {
  const int64_t o = (*c.weight)[0];
  if (bias != Shape{o})
    raise<ValueError>("[", c.who, "] bias has shape ", to_string(bias), "; expected (", o,
                      ",), one value per output channel");
}

bool is_highest(const std::string& precision, const char* who) {
  if (precision == "default") return false;
  if (precision == "highest") return true;
  raise<ValueError>("[", who, "] got precision=\"", precision, "\"; expected \"default\" or \"highest\"");
}

Activation activation_named(const std::string& word, const char* who) {
  constexpr std::pair<const char*, Activation> kNames[] = {
      {"relu", Activation::relu},      {"relu6", Activation::relu6}, {"leaky_relu", Activation::leaky_relu},
      {"silu", Activation::silu},      {"gelu", Activation::gelu},   {"tanh", Activation::tanh},
      {"sigmoid", Activation::sigmoid}};
  for (const auto& [name, a] : kNames)
    if (word == name) return a;
  raise<ValueError>("[", who, "] got activation=\"", word,
                    "\"; expected \"relu\", \"relu6\", \"leaky_relu\", \"silu\", \"gelu\", \"tanh\" or \"sigmoid\"");
}

ConvGeometry geometry_of(const ConvCall& c, bool highest_precision) {
  const Shape &input = *c.input, &weight = *c.weight;
  ConvGeometry g;
  g.rank = c.spatial;
  g.batch = input[0];
  g.in_channels = input.back();
  g.out_channels = weight[0];
  g.groups = c.groups;
  g.flip = c.flip;
  g.highest_precision = highest_precision;
  for (int i = 0; i < c.spatial; ++i) {
    const int at = 3 - c.spatial + i;  // the last spatial axes; the ones before stay 1
    g.in[at] = size_along(input, i);
    g.kernel[at] = size_along(weight, i);
    g.out[at] = output_size(c, i, g.in[at], g.kernel[at]);
    g.stride[at] = c.stride[i];
    g.dilation[at] = c.dilation[i];
    g.in_dilation[at] = c.in_dilation[i];
    g.pad[at] = c.low[i];
    normalize_steps(g, at);
  }
  return g;
}

Shape conv_input_shape(const ConvGeometry& g) { return with_channels(g.batch, g.in, g.rank, g.in_channels); }
Shape conv_weight_shape(const ConvGeometry& g) {
  return with_channels(g.out_channels, g.kernel, g.rank, g.groups ? g.in_channels / g.groups : 0);
}
Shape conv_output_shape(const ConvGeometry& g) { return with_channels(g.batch, g.out, g.rank, g.out_channels); }

}  // namespace nhwc
