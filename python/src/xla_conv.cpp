// python/src/xla_conv.cpp -- the convolution and its two gradients as foreign functions of XLA
#include "xla_conv.h"

#include <algorithm>
#include <mutex>
#include <new>
#include <optional>

#include "backend/cpu/conv_plans.h"
#include "backend/cpu/strided.h"
#include "base/interrupt.h"
#include "nhwc/error.h"
#include "plan/conv_call.h"

namespace nhwc::py::xla {
namespace {

constexpr const char* kWho = "nhwc.jax";

std::shared_ptr<const cpu::PlannedConv> plan_for(const ConvProblem& q) {
  struct Plans {
    std::mutex mutex;
    cpu::ConvPlans plans{/*packs_weights=*/true};  // nobody says whether they are those of the call before
  };
  static Plans& all = *new Plans;  // never destroyed: XLA's threads may outlive static destructors
  const std::lock_guard lock(all.mutex);
  return all.plans.find(q);
}

Dtype dtype_of(DataType t) {
  switch (t) {
    case DataType::float16:
      return Dtype::float16;
    case DataType::bfloat16:
      return Dtype::bfloat16;
    case DataType::float32:
      return Dtype::float32;
    case DataType::float64:
      return Dtype::float64;
    default:
      raise<ValueError>("[", kWho, "] got a buffer of XLA's type ", static_cast<unsigned>(t),
                        "; expected float16, bfloat16, float32 or float64");
  }
}

class AttributeReader {
 public:
  explicit AttributeReader(const Attributes& all) : all_(all) {}

  Ints ints(const char* name) const {
    const auto& a = *static_cast<const ArrayAttribute*>(find(name, AttributeKind::array));
    require(a.dtype == DataType::int64, name, "values of int64");
    const auto* first = static_cast<const int64_t*>(a.data);
    return Ints(first, first + a.size);
  }
  int64_t integer(const char* name) const { return scalar<int64_t>(name, DataType::int64); }
  bool boolean(const char* name) const { return scalar<bool>(name, DataType::boolean); }
  std::string word(const char* name) const {
    const auto& s = *static_cast<const ByteSpan*>(find(name, AttributeKind::string));
    return std::string(s.data, s.size);
  }

 private:
  static void require(bool good, const char* name, const char* expected) {
    if (!good) raise<ValueError>("[", kWho, "] attribute `", name, "`: expected ", expected);
  }
  const void* find(const char* name, AttributeKind kind) const {
    for (int64_t i = 0; i < all_.size; ++i) {
      if (std::string_view(all_.names[i]->data, all_.names[i]->size) != name) continue;
      require(all_.kinds[i] == kind, name, "another kind");
      return all_.values[i];
    }
    raise<ValueError>("[", kWho, "] attribute `", name, "` is missing");
  }
  template <class T>
  T scalar(const char* name, DataType dtype) const {
    const auto& s = *static_cast<const ScalarAttribute*>(find(name, AttributeKind::scalar));
    require(s.dtype == dtype, name, "another dtype");
    return *static_cast<const T*>(s.value);
  }

  const Attributes& all_;
};

/// One of x, w and y.
struct Operand {
  char* data;
  Dtype dtype;
  Shape shape;                  // of one convolution
  std::optional<int64_t> loop;  // the axis in front
  int64_t step = 0;             // bytes from one convolution to the next

  char* at(int64_t i) const { return data + i * step; }
  /// The strides in elements, as the kernels take them.
  void lay_out(int64_t strides[4]) const {
    const Strides s = contiguous_strides(shape);
    strides[0] = s[0];
    std::copy(s.begin() + 1, s.end() - 1, strides + 6 - s.size());
  }
};

const Buffer& buffer_of(const Arguments& all, int64_t i) {
  if (all.kinds[i] != ArgumentKind::buffer) raise<ValueError>("[", kWho, "] operand ", i, " is no buffer");
  return *static_cast<const Buffer*>(all.values[i]);
}

Operand operand_of(const Buffer& b, int64_t spatial) {
  const bool looped = b.rank == spatial + 3;
  if (!looped && b.rank != spatial + 2)
    raise<ValueError>("[", kWho, "] got a buffer of ", b.rank, " dimensions for ", spatial, " spatial axes; expected ",
                      spatial + 2, ", or one more in front");
  Operand a{static_cast<char*>(b.data), dtype_of(b.dtype), Shape(b.dims + looped, b.dims + b.rank), {}};
  if (looped) {
    a.loop = b.dims[0];
    a.step = size_of(a.shape) * static_cast<int64_t>(size_of(a.dtype));
  }
  return a;
}

/// Weights that lie with their outputs last, (..., C_in / groups, C_out), as the kernels know them.
class OutputsLast {
 public:
  /// Changes the shape to that of what take() and give() have at data().
  explicit OutputsLast(Operand& w)
      : outputs_(w.shape.back()), size_(size_of(w.dtype)), copy_(static_cast<size_t>(size_of(w.shape)) * size_) {
    std::rotate(w.shape.begin(), w.shape.end() - 1, w.shape.end());
    rest_ = size_of(Shape(w.shape.begin() + 1, w.shape.end()));
  }
  void* data() const { return copy_.as<void>(); }
  void take(const char* w) const {
    cpu::copy_strided(copy_.as<char>(), {rest_, 1}, w, {1, outputs_}, {outputs_, rest_}, size_);
  }
  void give(char* w) const {
    cpu::copy_strided(w, {outputs_, 1}, copy_.as<char>(), {1, rest_}, {rest_, outputs_}, size_);
  }

 private:
  int64_t outputs_, rest_;
  size_t size_;
  Scratch copy_;
};

/// How many convolutions are asked for.
int64_t loop_of(const Operand& a, const Operand& b, const Operand& result) {
  const std::optional<int64_t> n = a.loop ? a.loop : b.loop;
  if (result.loop != n || (b.loop && b.loop != n))
    raise<ValueError>("[", kWho, "] the axes in front have different sizes");
  return n.value_or(1);
}

/// Activation and bias, where there are some, into the problem; returns the bias.
const void* take_epilogue(const CallFrame& f, const AttributeReader& attributes, const ConvCall& call, Dtype dtype,
                          ConvProblem& q) {
  const std::string word = attributes.word("activation");
  if (!word.empty()) q.activation = activation_named(word, kWho);
  if (f.arguments.size < 3) return nullptr;
  const Buffer& bias = buffer_of(f.arguments, 2);
  require_bias(call, Shape(bias.dims, bias.dims + bias.rank));
  if (dtype_of(bias.dtype) != dtype) raise<ValueError>("[", kWho, "] the operands differ in dtype");
  q.has_bias = true;
  return bias.data;
}

void run(const CallFrame& f, ConvKind kind) {
  if (f.stage != Stage::execute) raise<ValueError>("[", kWho, "] called in another stage than that of execution");
  const bool has_bias = kind == ConvKind::forward && f.arguments.size == 3;
  if (f.arguments.size != 2 + has_bias || f.results.size != 1)
    raise<ValueError>("[", kWho, "] got ", f.arguments.size, " arguments and ", f.results.size, " results");
  const AttributeReader attributes(f.attributes);
  const Ints stride = attributes.ints("stride");
  const auto spatial = static_cast<int64_t>(stride.size());
  Operand a = operand_of(buffer_of(f.arguments, 0), spatial), b = operand_of(buffer_of(f.arguments, 1), spatial),
          result = operand_of(buffer_of(f.results, 0), spatial);
  const Operand& x = kind == ConvKind::input_grad ? result : a;
  Operand& w = kind == ConvKind::weight_grad ? result : b;
  const Operand& y = kind == ConvKind::forward ? result : kind == ConvKind::input_grad ? a : b;
  if (a.dtype != b.dtype || a.dtype != result.dtype) raise<ValueError>("[", kWho, "] the operands differ in dtype");
  const int64_t loop = loop_of(a, b, result);
  std::optional<OutputsLast> turned;
  if (attributes.boolean("outputs_last")) turned.emplace(w);
  const ConvCall call = conv_call_of_shapes(kWho, x.shape, a.dtype, w.shape, y.shape, stride, attributes.ints("low"),
                                            attributes.ints("dilation"), attributes.ints("input_dilation"),
                                            attributes.integer("groups"), attributes.boolean("flip"));
  ConvProblem q = normalize(geometry_of(call, attributes.boolean("highest_precision")), kind, a.dtype);
  const void* bias = kind == ConvKind::forward ? take_epilogue(f, attributes, call, a.dtype, q) : nullptr;
  if (size_of(result.shape) == 0 || loop == 0) return;

  const std::shared_ptr<const cpu::PlannedConv> planned = plan_for(q);
  const UninterruptedScope by_nobody;  // Ctrl-C is asked for with the interpreter's lock, which is not held here
  if (kind == ConvKind::weight_grad) {
    ConvWeightGradOperands o;
    x.lay_out(o.x_stride);
    y.lay_out(o.gy_stride);
    for (int64_t i = 0; i < loop; ++i) {
      o.x = x.at(i);
      o.gy = y.at(i);
      o.dw = turned ? turned->data() : w.at(i);
      run_conv_weight_grad(planned->plan, o);
      if (turned) turned->give(w.at(i));
    }
    return;
  }
  ConvOperands o;
  a.lay_out(o.x_stride);
  o.bias = bias;
  for (int64_t i = 0; i < loop; ++i) {
    o.x = a.at(i);
    o.w = turned ? turned->data() : w.at(i);
    if (turned && (i == 0 || w.loop)) turned->take(w.at(i));
    o.y = result.at(i);
    run_conv(planned->plan, o);
  }
}

Error* error(const Api& api, ErrorCode code, const char* text) {
  ErrorCreateArgs args{NHWC_XLA_SIZE(ErrorCreateArgs, code), nullptr, text, code};
  return api.error_create(&args);
}

/// What XLA asks for when a handler is registered. It refuses the version itself where that is too old or too new for
/// it.
Error* describe(const Api& api, const MetadataExtension& asked) {
  Metadata& m = *asked.metadata;
  if (asked.base.struct_size < NHWC_XLA_SIZE(MetadataExtension, metadata) ||
      m.struct_size < NHWC_XLA_SIZE(Metadata, traits) || api.version.major_version != kMajor ||
      api.version.minor_version < kMinor)
    return error(api, ErrorCode::failed_precondition,
                 message("[", kWho, "] XLA's foreign functions have version ", api.version.major_version, ".",
                         api.version.minor_version, "; nhwc was built for ", kMajor, ".", kMinor, " and later ones of ",
                         kMajor, ": install another jaxlib")
                     .c_str());
  m.version = {NHWC_XLA_SIZE(Version, minor_version), nullptr, kMajor, kMinor};
  m.traits = 0;
  if (m.struct_size >= NHWC_XLA_SIZE(Metadata, state_type)) m.state_type = 0;
  return nullptr;
}

/// No exception passes through C.
Error* call(CallFrame& f, ConvKind kind) noexcept {
  try {
    if (f.struct_size < NHWC_XLA_SIZE(CallFrame, attributes))
      return error(*f.api, ErrorCode::failed_precondition, "[nhwc.jax] XLA's foreign functions have another version");
    if (f.extension && f.extension->kind == ExtensionKind::metadata)
      return describe(*f.api, *reinterpret_cast<const MetadataExtension*>(f.extension));
    run(f, kind);
    return nullptr;
  } catch (const ValueError& e) {
    return error(*f.api, ErrorCode::invalid_argument, e.what());
  } catch (const MemoryError& e) {
    return error(*f.api, ErrorCode::resource_exhausted, e.what());
  } catch (const std::bad_alloc&) {
    return error(*f.api, ErrorCode::resource_exhausted, "[nhwc.jax] out of memory");
  } catch (const std::exception& e) {
    return error(*f.api, ErrorCode::internal, e.what());
  } catch (...) {
    return error(*f.api, ErrorCode::internal, "[nhwc.jax] unknown C++ exception");
  }
}

}  // namespace

Error* conv(CallFrame* frame) { return call(*frame, ConvKind::forward); }
Error* conv_input_grad(CallFrame* frame) { return call(*frame, ConvKind::input_grad); }
Error* conv_weight_grad(CallFrame* frame) { return call(*frame, ConvKind::weight_grad); }

}  // namespace nhwc::py::xla
