// csrc/backend/cpu/conv.cpp -- Conv: from nodes to a plan, operands and the kernel that runs it
#include "backend/cpu/conv_plans.h"
#include "backend/cpu/conv_tune.h"
#include "backend/cpu/run.h"
#include "backend/cpu/strided.h"
#include "base/interrupt.h"
#include "nhwc/error.h"

namespace nhwc::cpu {
namespace {

/// Under the eval lock; lasts until the next call.
const PlannedConv& plan_for(const ConvProblem& q) {
  static ConvPlans& plans = *new ConvPlans;  // never destroyed: an evaluation may outlive static destructors
  return *plans.find(q);
}

/// An operand read in place by its strides; copied where its channels are not adjacent.
class Pixels {
 public:
  Pixels(const Node& x, int rank) : copy_(adjacent(x) ? nullptr : &x), data_(adjacent(x) ? x.data() : copy_.data()) {
    const Strides s = adjacent(x) ? x.strides : contiguous_strides(x.shape);
    stride[0] = s[0];
    for (int i = 0; i < rank; ++i) stride[1 + 3 - rank + i] = s[static_cast<size_t>(1 + i)];
  }
  const void* data() const { return data_; }
  int64_t stride[4] = {};

 private:
  static bool adjacent(const Node& x) { return x.shape.back() <= 1 || x.strides.back() == 1; }

  RowMajor copy_;
  const char* data_;
};

/// Whether what is made of the weights may be kept with them.
bool keeps_packed(const Node& w) {
  const Buffer& b = *w.buffer.get();
  return b.owned && b.immutable.load(std::memory_order_relaxed);
}

/// The weights packed for the plan, kept with their storage; null where they cannot be kept.
DerivedRef packed_weights(const PlannedConv& p, const Node& w) {
  if (p.packed_bytes == 0 || !keeps_packed(w)) return {};
  Buffer& b = *w.buffer.get();
  uint64_t key[3] = {p.packed_key[0], p.packed_key[1], p.packed_key[2]};
  // Views of one block differ in where they begin and in their order.
  const auto mix = [&key](int64_t v) { key[1] = (key[1] ^ static_cast<uint64_t>(v)) * 0x9e3779b97f4a7c15u; };
  mix(w.offset);
  if (!w.row_major)
    for (int64_t s : w.strides) mix(s);
  DerivedRef found = find_derived(b, key);
  if (found.data()) return found;
  const RowMajor weight(w);
  UninterruptedScope to_the_end;  // what is half packed must not be found
  DerivedRef made = add_derived(b, key, p.packed_bytes);
  pack_conv_weights(p.plan, weight.data(), const_cast<void*>(made.data()));
  return made;
}

void run_forward(const ConvProblem& q, const Node& x, const Node& w, const Node* bias, const Node* residual, int rank,
                 Node& y) {
  const Pixels in(x, rank);
  const RowMajor b(bias), r(residual);
  ConvOperands a;
  a.x = in.data();
  std::copy(in.stride, in.stride + 4, a.x_stride);
  a.bias = b.data();
  a.y = y.data();
  if (residual) {
    const intptr_t bytes = reinterpret_cast<intptr_t>(r.data()) - reinterpret_cast<intptr_t>(a.y);
    a.residual_from_y = bytes / static_cast<intptr_t>(size_of(y.dtype));
  }
  if (tuning()) {
    const RowMajor weight(w);
    a.w = weight.data();
    measure_conv(q, size_of(y.shape), {.forward = &a, .pack_once = keeps_packed(w)});
  }
  const PlannedConv& planned = plan_for(q);
  const DerivedRef packed = packed_weights(planned, w);
  const RowMajor weight(packed.data() && !reads_weights(planned.plan) ? nullptr : &w);
  a.w = weight.data();
  a.packed = packed.data();
  run_conv(planned.plan, a);
}

void run_weight_grad(const ConvProblem& q, const Node& x, const Node& gy, int rank, Node& gw) {
  const Pixels in(x, rank), grad(gy, rank);
  ConvWeightGradOperands a;
  a.x = in.data();
  std::copy(in.stride, in.stride + 4, a.x_stride);
  a.gy = grad.data();
  std::copy(grad.stride, grad.stride + 4, a.gy_stride);
  a.dw = gw.data();
  if (tuning()) measure_conv(q, size_of(gw.shape), {.weight_grad = &a});
  run_conv_weight_grad(plan_for(q).plan, a);
}

}  // namespace

void run(const Conv& p, Node& n, bool) {
  allocate_output(n);
  if (size_of(n.shape) == 0) return;
  const ConvProblem q = normalize(*p.geometry, p.kind, n.dtype);
  const Node &a = *n.inputs[0].node(), &b = *n.inputs[1].node();
  if (p.kind == ConvKind::weight_grad)
    run_weight_grad(q, a, b, p.geometry->rank, n);
  else
    run_forward(q, a, b, nullptr, nullptr, p.geometry->rank, n);
}

void run_conv_fused(const Conv& p, const Node& conv, const Node* bias, const Node* residual, Activation activation,
                    Node& into) {
  allocate_output(into);
  if (size_of(into.shape) == 0) return;
  ConvProblem q = normalize(*p.geometry, p.kind, into.dtype);
  q.has_bias = bias != nullptr;
  q.activation = activation;
  run_forward(q, *conv.inputs[0].node(), *conv.inputs[1].node(), bias, residual, p.geometry->rank, into);
}

std::string explain(const Conv& p, const Node& n) {
  return describe(plan_for(normalize(*p.geometry, p.kind, n.dtype)).plan);
}

}  // namespace nhwc::cpu
