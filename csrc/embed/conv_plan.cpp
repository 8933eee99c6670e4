// csrc/embed/conv_plan.cpp -- ConvPlan: from sizes and pointers to a plan, packed weights and the kernel that runs them
#include "nhwc/conv_plan.h"

#include <cstring>
#include <optional>
#include <vector>

#include "base/allocator.h"
#include "base/host_scope.h"
#include "base/interrupt.h"
#include "kernels/conv.h"
#include "kernels/conv_replay.h"
#include "plan/conv_call.h"

namespace nhwc {
namespace {

constexpr const char* kWho = "ConvPlan";

void require_sizes(const Shape& s, const char* what) {
  for (int64_t n : s)
    if (n < 0) raise<ValueError>("[", kWho, "] ", what, " has shape ", to_string(s), "; sizes are at least 0");
}

bool all_are(const Ints& v, int64_t value) {
  for (int64_t x : v)
    if (x != value) return false;
  return true;
}

/// What numbers may not be given together with.
void require_unset(bool unset, const char* what, const char* with) {
  if (!unset) raise<ValueError>("[", kWho, "] got both ", what, " and ", with, "; give one of them");
}

Padding padding_of(const ConvOptions& o, int spatial) {
  if (!o.auto_padding.empty()) {
    require_unset(all_are(o.padding, 0) && o.padding_high.empty(), "padding", "auto_padding");
    return o.auto_padding;
  }
  if (o.padding_high.empty()) return o.padding;
  const auto along = [&](const Ints& v, int axis) {
    if (v.size() != 1 && static_cast<int>(v.size()) != spatial)
      raise<ValueError>("[", kWho, "] got ", v.size(), " values for padding; expected 1, or ", spatial,
                        ": one per spatial axis");
    return v[v.size() == 1 ? 0 : static_cast<size_t>(axis)];
  };
  std::vector<std::pair<int64_t, int64_t>> pairs;
  for (int i = 0; i < spatial; ++i) pairs.emplace_back(along(o.padding, i), along(o.padding_high, i));
  return pairs;
}

ConvCall call_of(const Shape& input, const Shape& weight, const ConvOptions& o) {
#if defined(NHWC_MINIMAL)
  if (o.dtype == Dtype::float64)
    raise<ValueError>("[", kWho, "] this is a minimal build, without float64; build nhwc without NHWC_MINIMAL");
#endif
  require_sizes(input, "the input");
  require_sizes(weight, "the weight");
  const int spatial = static_cast<int>(input.size()) - 2;
  if (spatial < 1 || spatial > 3)
    raise<ValueError>("[", kWho, "] the input has ", input.size(), " dimensions, shape ", to_string(input),
                      "; expected 3 (N, W, C), 4 (N, H, W, C) or 5 (N, D, H, W, C)");
  if (o.transposed) {
    require_unset(o.auto_padding.empty(), "transposed", "auto_padding");
    require_unset(o.padding_high.empty(), "transposed", "padding_high");
    require_unset(all_are(o.input_dilation, 1), "transposed", "input_dilation");
    require_unset(!o.flip, "transposed", "flip");
    return conv_transpose_call(kWho, spatial, input, o.dtype, weight, o.stride, o.padding, o.dilation, o.output_padding,
                               o.groups);
  }
  if (!all_are(o.output_padding, 0))
    raise<ValueError>("[", kWho, "] output_padding is for transposed convolutions; set transposed, or leave it 0");
  if (all_are(o.input_dilation, 1) && !o.flip)
    return conv_call(kWho, spatial, input, o.dtype, weight, o.stride, padding_of(o, spatial), o.dilation, o.groups);
  require_unset(o.auto_padding.empty(), "auto_padding", "input_dilation or flip");
  return conv_general_call(input, o.dtype, weight, o.stride, o.padding,
                           o.padding_high.empty() ? o.padding : o.padding_high, o.dilation, o.input_dilation, o.groups,
                           o.flip);
}

/// The strides of the input as given, checked; row-major where none are.
Strides strides_of(const Shape& input, const Strides& given) {
  if (given.empty()) return contiguous_strides(input);
  bool fits = given.size() == input.size() && given.back() == 1;
  for (int64_t s : given) fits = fits && s >= 0;
  if (!fits)
    raise<ValueError>("[", kWho, "] got input_strides ", to_string(given), " for an input of shape ", to_string(input),
                      "; expected one per axis, at least 0, and 1 for the channels");
  return given;
}

/// Elements from the first to the one behind the last.
int64_t extent_of(const Shape& shape, const Strides& strides) {
  if (size_of(shape) == 0) return 0;
  int64_t last = 0;
  for (size_t i = 0; i < shape.size(); ++i) {
    int64_t step;
    if (__builtin_mul_overflow(shape[i] - 1, strides[i], &step) || __builtin_add_overflow(last, step, &last))
      raise<ValueError>("[", kWho, "] input_strides ", to_string(strides), " reach beyond 64 bits");
  }
  return last + 1;
}

void require_operand(const void* p, const char* what, size_t bytes, size_t expected, const Shape& shape, Dtype t) {
  if (bytes != expected)
    raise<ValueError>("[", kWho, "] ", what, " has ", bytes, " bytes; the plan is for ", expected, ": ",
                      to_string(shape), " of ", name(t), "; make a plan for each size");
  if (!p && bytes > 0) raise<ValueError>("[", kWho, "] ", what, " is a null pointer");
  if (reinterpret_cast<uintptr_t>(p) % size_of(t) != 0)
    raise<ValueError>("[", kWho, "] ", what, " is not aligned to the ", size_of(t), " bytes of its elements, ",
                      name(t));
}

}  // namespace

struct ConvPlan::State {
  State(const Shape& input_shape, const Shape& weight, const ConvOptions& o, bool has_bias)
      : input(input_shape), dtype(o.dtype), pool(o.pool) {
    ConvCall call = call_of(input, weight, o);
    const Strides strides = strides_of(input, o.input_strides);
    Crop crop;
    if (crops(call)) {
      crop = crop_input(call);
      call.input = &crop.rest;
      for (size_t i = 0; i < strides.size(); ++i) x_offset += crop.start[i] * strides[i];
    }
    const ConvGeometry g = geometry_of(call, o.highest_precision);
    output = conv_output_shape(g);
    const size_t element = size_of(dtype);
    x_bytes = static_cast<size_t>(extent_of(input, strides)) * element;
    y_bytes = static_cast<size_t>(size_of(output)) * element;
    weight_bytes = static_cast<size_t>(size_of(weight)) * element;
    bias_bytes = has_bias ? static_cast<size_t>(g.out_channels) * element : 0;
    x_offset *= static_cast<int64_t>(element);
    x_stride[0] = strides[0];
    for (int i = 0; i < call.spatial; ++i) x_stride[4 - call.spatial + i] = strides[static_cast<size_t>(1 + i)];
    require_complete(o.allocator, kWho);
    if (o.allocator.allocate) memory = make_allocator(o.allocator);
    scope = {pool.run ? &pool : nullptr, memory.get()};
    if (size_of(output) == 0) return;
    const InHostScope on_the_host(&scope);
    ConvProblem q = normalize(g, ConvKind::forward, dtype);
    q.has_bias = has_bias;
    q.activation = o.activation;
    DeviceFacts facts = cpu_facts();
    facts.calls_kept = ConvReplay::small(q);
    plan = plan_conv(q, facts);
    const size_t packed_bytes = packed_weight_bytes(plan);
    if (packed_bytes > 0) packed.emplace(packed_bytes, memory.get());
    if (packed_bytes == 0 || reads_weights(plan)) weights.emplace(weight_bytes, memory.get());
    if (has_bias) bias.emplace(bias_bytes, memory.get());
  }

  void set_weights(const void* w, const void* b) {
    if (y_bytes == 0) return;
    const InHostScope on_the_host(&scope);
    UninterruptedScope to_the_end;
    if (packed) pack_conv_weights(plan, w, packed->as<void>());
    if (weights && weight_bytes > 0) std::memcpy(weights->as<void>(), w, weight_bytes);
    if (bias) std::memcpy(bias->as<void>(), b, bias_bytes);
    // Anew: that of a dot plan holds the bias.
    replay = ConvReplay::record(plan, operands(), x_bytes - static_cast<size_t>(x_offset), y_bytes);
  }

  /// But for x and y.
  ConvOperands operands() const {
    ConvOperands a;
    std::memcpy(a.x_stride, x_stride, sizeof x_stride);
    a.w = weights ? weights->as<void>() : nullptr;
    a.packed = packed ? packed->as<void>() : nullptr;
    a.bias = bias ? bias->as<void>() : nullptr;
    return a;
  }

  Shape input, output;
  Dtype dtype;
  HostPool pool;
  HostScope scope;
  size_t x_bytes = 0, y_bytes = 0, weight_bytes = 0, bias_bytes = 0;
  int64_t x_offset = 0, x_stride[4] = {};  // offset in bytes
  CpuPlan plan;
  std::shared_ptr<Allocator> memory;  // outlives what follows
  std::optional<Scratch> packed, weights, bias;
  std::unique_ptr<ConvReplay> replay;
};

ConvPlan::ConvPlan(const Shape& input, const Shape& weight, const void* w, const void* bias, const ConvOptions& options)
    : state_(std::make_unique<State>(input, weight, options, bias != nullptr)) {
  set_weights(w, bias);
}
ConvPlan::ConvPlan(ConvPlan&&) noexcept = default;
ConvPlan& ConvPlan::operator=(ConvPlan&&) noexcept = default;
ConvPlan::~ConvPlan() = default;

void ConvPlan::run(const void* x, size_t x_bytes, void* y, size_t y_bytes) const {
  const State& s = *state_;
  require_operand(x, "x", x_bytes, s.x_bytes, s.input, s.dtype);
  require_operand(y, "y", y_bytes, s.y_bytes, s.output, s.dtype);
  const auto *from = static_cast<const char*>(x), *to = static_cast<const char*>(y);
  if (from < to + y_bytes && to < from + x_bytes)
    raise<ValueError>("[", kWho, "] x and y overlap; an output needs memory of its own");
  if (y_bytes == 0) return;
  if (s.replay && s.replay->run(from + s.x_offset, y)) return;
  const InHostScope on_the_host(&s.scope);
  const InterruptScope interruptible;
  ConvOperands a = s.operands();
  a.x = from + s.x_offset;
  a.y = y;
  run_conv(s.plan, a);
}

void ConvPlan::set_weights(const void* w, const void* bias) {
  const State& s = *state_;
  require_operand(w, "the weight", s.weight_bytes, s.weight_bytes, {}, s.dtype);
  require_operand(bias, "the bias", s.bias_bytes, s.bias_bytes, {}, s.dtype);
  if (bias && s.bias_bytes == 0) raise<ValueError>("[", kWho, "] the plan was made without a bias; make another one");
  state_->set_weights(w, bias);
}

void ConvPlan::require_dtype(Dtype t) const {
  if (t != state_->dtype)
    raise<ValueError>("[", kWho, "] got ", name(t), " values; the plan is for ", name(state_->dtype));
}

const Shape& ConvPlan::output_shape() const { return state_->output; }
size_t ConvPlan::input_bytes() const { return state_->x_bytes; }
size_t ConvPlan::output_bytes() const { return state_->y_bytes; }
std::string ConvPlan::explain() const { return describe(state_->plan); }

void conv2d(const float* x, const Shape& input, const float* w, const Shape& weight, float* y, const Shape& output,
            const ConvOptions& options, const float* bias) {
  if (options.dtype != Dtype::float32 || input.size() != 4)
    raise<ValueError>("[conv2d] is for float32 and inputs (N, H, W, C), got ", name(options.dtype), " and ",
                      to_string(input), "; make a ConvPlan");
  const ConvPlan plan(input, weight, w, bias, options);
  if (plan.output_shape() != output)
    raise<ValueError>("[conv2d] y has shape ", to_string(output), "; expected ", to_string(plan.output_shape()));
  plan.run(x, plan.input_bytes(), y, plan.output_bytes());
}

}  // namespace nhwc
