// csrc/backend/metal/elementwise.cpp -- Unary, Binary, Select and Cast on the GPU
#include "backend/metal/lay_out.h"
#include "backend/metal/run.h"

namespace nhwc::metal {
namespace {

// Kernels know casts by the place of a type in this list.
enum {
#define NHWC_DTYPE(name, type) place_of_##name,
#include "instances/dtypes.inc"
};
static_assert(place_of_bool == int(Dtype::bool_) && place_of_u8 == int(Dtype::uint8) &&
              place_of_i64 == int(Dtype::int64) && place_of_bf16 == int(Dtype::bfloat16) &&
              place_of_f32 == int(Dtype::float32));

const char* item_name(size_t item) { return item == 1 ? "u8" : item == 2 ? "u16" : item == 4 ? "u32" : "u64"; }

/// Runs the kernel over n's elements; `kind` is its function constant 0, `item` the size it divides elements by.
void run_elementwise(Node& n, const std::string& kernel, int kind, size_t item) {
  allocate_output(n);
  const NodeInputs& x = n.inputs;
  const auto encode = [&](const Layout& l, int64_t done) {
    Launch launch("elementwise", kernel);
    launch.constant(0, kind).constant(1, l.strided).constant(2, l.wide);
    for (size_t i = 0; i < x.size(); ++i) {
      launch.in(*x[i].node());
      launch.constant(static_cast<int>(3 + i), l.step[i]);
    }
    const auto out = static_cast<int64_t>(size_of(n.dtype));
    launch.out(n.data() + done * out, static_cast<size_t>(l.params.size * out)).params(l.params);
    run_elements(launch, l.params.size, item);
  };
  if (x.size() == 1)
    lay_out(n.shape, {lying(*x[0].node())}, encode);
  else if (x.size() == 2)
    lay_out(n.shape, {lying(*x[0].node()), lying(*x[1].node())}, encode);
  else
    lay_out(n.shape, {lying(*x[0].node()), lying(*x[1].node()), lying(*x[2].node())}, encode);
}

}  // namespace

void run(const Unary& p, Node& n) {
  const Dtype t = n.inputs[0].dtype();
  run_elementwise(n, std::string(gives_bool(p.kind) ? "predicate_" : "unary_") + short_name(t),
                  static_cast<int>(p.kind), size_of(t));
}
void run(const Binary& p, Node& n) {
  const Dtype t = n.inputs[0].dtype();
  run_elementwise(n, std::string(gives_bool(p.kind) ? "comparison_" : "binary_") + short_name(t),
                  static_cast<int>(p.kind), size_of(t));
}
void run(const Cast&, Node& n) {
  const Dtype from = n.inputs[0].dtype();
  run_elementwise(n, std::string("cast_") + short_name(from), static_cast<int>(n.dtype), size_of(from));
}
void run(const Select&, Node& n) {
  const size_t item = size_of(n.dtype);
  run_elementwise(n, std::string("select_") + item_name(item), 0, item);
}

}  // namespace nhwc::metal
