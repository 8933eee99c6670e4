// csrc/embed/c_api.cpp -- the C interface: exceptions become a status and a text
#include "nhwc/c_api.h"

#include <cstring>
#include <new>

#include "nhwc/conv_plan.h"
#include "nhwc/memory.h"

struct nhwc_conv_plan {
  nhwc::ConvPlan plan;
  size_t weight_bytes, bias_bytes;
};

namespace nhwc {
namespace {

constexpr const char* kNoPlan = "the plan is a null pointer; make one with nhwc_conv_plan_create";

// In place: a failure for want of memory needs none.
thread_local char error_text[1024] = "";

nhwc_status fail(nhwc_status status, const char* text) {
  std::strncpy(error_text, text, sizeof error_text - 1);
  return status;
}

/// Calls f; what it throws becomes a status and the thread's error text.
template <class F>
nhwc_status guarded(const F& f) {
  error_text[0] = '\0';
  try {
    f();
    return NHWC_OK;
  } catch (const MemoryError& e) {
    return fail(NHWC_OUT_OF_MEMORY, e.what());
  } catch (const std::bad_alloc&) {
    return fail(NHWC_OUT_OF_MEMORY, "the system has no more memory");
  } catch (const std::logic_error& e) {  // ValueError and its kin; failed checks too
    return fail(dynamic_cast<const std::invalid_argument*>(&e) ? NHWC_INVALID_VALUE : NHWC_FAILED, e.what());
  } catch (const std::exception& e) {
    return fail(NHWC_FAILED, e.what());
  } catch (...) {
    return fail(NHWC_FAILED, "an exception of an unknown type");
  }
}

void require(bool fine, const char* text) {
  if (!fine) raise<ValueError>(text);
}

Dtype dtype_of(int32_t code) {
  constexpr Dtype dtypes[] = {Dtype::float32, Dtype::float16, Dtype::bfloat16, Dtype::float64};
  if (code < 0 || code > NHWC_FLOAT64)
    raise<ValueError>("[nhwc_conv_plan_create] got dtype ", code, "; expected NHWC_FLOAT32 (0) to NHWC_FLOAT64 (3)");
  return dtypes[code];
}

Activation activation_of(int32_t code) {
  if (code < 0 || code > NHWC_SIGMOID)
    raise<ValueError>("[nhwc_conv_plan_create] got activation ", code,
                      "; expected NHWC_NO_ACTIVATION (0) to NHWC_SIGMOID (7)");
  return static_cast<Activation>(code);  // in the same order
}
static_assert(static_cast<int>(Activation::relu) == NHWC_RELU && static_cast<int>(Activation::sigmoid) == NHWC_SIGMOID);

struct Sizes {
  Shape input, weight;
};

Sizes sizes_of(const nhwc_conv_options& o) {
  if (o.struct_size != sizeof o)
    raise<ValueError>("[nhwc_conv_plan_create] the options have struct_size ", o.struct_size, "; expected ", sizeof o,
                      ": call nhwc_conv_options_init, with the headers of version ", nhwc_version());
  if (o.spatial < 1 || o.spatial > 3)
    raise<ValueError>("[nhwc_conv_plan_create] got spatial ", o.spatial, "; expected 1, 2 or 3");
  if (o.groups < 1) raise<ValueError>("[nhwc_conv_plan_create] got groups ", o.groups, "; expected at least 1");
  if (o.in_channels % o.groups != 0)
    raise<ValueError>("[nhwc_conv_plan_create] groups ", o.groups, " must divide in_channels ", o.in_channels);
  Sizes s{{o.batch}, {o.out_channels}};
  s.input.append(o.input, o.input + o.spatial);
  s.weight.append(o.kernel, o.kernel + o.spatial);
  s.input.push_back(o.in_channels);
  s.weight.push_back(o.in_channels / o.groups);
  return s;
}

ConvOptions options_of(const nhwc_conv_options& o) {
  const auto per_axis = [&](const int64_t* v) { return Ints(v, v + o.spatial); };
  ConvOptions options{.stride = per_axis(o.stride),
                      .padding = per_axis(o.padding_low),
                      .dilation = per_axis(o.dilation),
                      .input_dilation = per_axis(o.input_dilation),
                      .output_padding = per_axis(o.output_padding),
                      .groups = o.groups,
                      .transposed = o.transposed != 0,
                      .flip = o.flip != 0,
                      .activation = activation_of(o.activation),
                      .dtype = dtype_of(o.dtype),
                      .highest_precision = o.highest_precision != 0};
  if (!options.transposed) options.padding_high = per_axis(o.padding_high);
  return options;
}

void require_bytes(const char* what, const void* p, size_t bytes, size_t expected) {
  if (bytes != expected)
    raise<ValueError>("[nhwc_conv_plan] the ", what, " has ", bytes, " bytes; expected ", expected);
  if (!p && bytes > 0) raise<ValueError>("[nhwc_conv_plan] the ", what, " is a null pointer");
}

}  // namespace
}  // namespace nhwc

using namespace nhwc;

extern "C" {

nhwc_status nhwc_conv_options_init(nhwc_conv_options* options, size_t size) {
  return guarded([&] {
    require(options, "[nhwc_conv_options_init] options is a null pointer");
    if (size != sizeof *options)
      raise<ValueError>("[nhwc_conv_options_init] got options of ", size, " bytes; those of version ", nhwc_version(),
                        " have ", sizeof *options, ": compile with its headers");
    *options = {};
    options->struct_size = size;
    options->spatial = 2;
    options->groups = 1;
    for (int64_t* ones : {options->stride, options->dilation, options->input_dilation})
      for (int i = 0; i < 3; ++i) ones[i] = 1;
  });
}

nhwc_status nhwc_conv_plan_create(const nhwc_conv_options* options, const void* weight, size_t weight_bytes,
                                  const void* bias, size_t bias_bytes, nhwc_conv_plan** plan) {
  return guarded([&] {
    require(plan, "[nhwc_conv_plan_create] the place for the plan is a null pointer");
    *plan = nullptr;
    require(options, "[nhwc_conv_plan_create] options is a null pointer");
    const Sizes s = sizes_of(*options);
    const ConvOptions o = options_of(*options);
    for (const Shape* shape : {&s.input, &s.weight})
      for (int64_t n : *shape)
        if (n < 0) raise<ValueError>("[nhwc_conv_plan_create] got a size of ", n, "; sizes are at least 0");
    const size_t element = size_of(o.dtype);
    const size_t expected = static_cast<size_t>(size_of(s.weight)) * element;
    require_bytes("weight", weight, weight_bytes, expected);
    if (bias) require_bytes("bias", bias, bias_bytes, static_cast<size_t>(options->out_channels) * element);
    if (!bias) require_bytes("bias", bias, bias_bytes, 0);
    *plan = new nhwc_conv_plan{ConvPlan(s.input, s.weight, weight, bias, o), weight_bytes, bias_bytes};
  });
}

nhwc_status nhwc_conv_plan_run(const nhwc_conv_plan* plan, const void* x, size_t x_bytes, void* y, size_t y_bytes) {
  return guarded([&] {
    require(plan, kNoPlan);
    plan->plan.run(x, x_bytes, y, y_bytes);
  });
}

nhwc_status nhwc_conv_plan_set_weights(nhwc_conv_plan* plan, const void* weight, size_t weight_bytes, const void* bias,
                                       size_t bias_bytes) {
  return guarded([&] {
    require(plan, kNoPlan);
    require_bytes("weight", weight, weight_bytes, plan->weight_bytes);
    require_bytes("bias", bias, bias_bytes, plan->bias_bytes);
    plan->plan.set_weights(weight, bias);
  });
}

nhwc_status nhwc_conv_plan_output(const nhwc_conv_plan* plan, int64_t shape[5], size_t* bytes) {
  return guarded([&] {
    require(plan, kNoPlan);
    const Shape& s = plan->plan.output_shape();
    for (size_t i = 0; shape && i < s.size(); ++i) shape[i] = s[i];
    if (bytes) *bytes = plan->plan.output_bytes();
  });
}

void nhwc_conv_plan_destroy(nhwc_conv_plan* plan) { delete plan; }

const char* nhwc_error(void) { return error_text; }
const char* nhwc_version(void) { return NHWC_VERSION_TEXT; }

nhwc_status nhwc_set_num_threads(int n) {
  return guarded([&] { set_num_threads(n); });
}
nhwc_status nhwc_set_pool(void* ctx, int threads,
                          void (*run)(void* ctx, int n, void (*body)(void* arg, int i), void* arg)) {
  return guarded([&] {
    require(!run || threads >= 1, "[nhwc_set_pool] a pool has at least one thread");
    set_host_pool({ctx, threads, run});
  });
}
nhwc_status nhwc_set_allocator(void* ctx, void* (*allocate)(void* ctx, size_t bytes, size_t alignment),
                               void (*release)(void* ctx, void* p, size_t bytes)) {
  return guarded([&] { set_host_allocator({ctx, allocate, release}); });
}

}  // extern "C"
