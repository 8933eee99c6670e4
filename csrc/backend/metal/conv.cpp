// csrc/backend/metal/conv.cpp -- Conv on the GPU: from nodes to a plan, operands and the kernels that run it
#include <algorithm>
#include <array>
#include <memory>

#include "backend/metal/launch.h"
#include "backend/metal/run.h"
#include "base/divide.h"
#include "base/env.h"
#include "nhwc/memory.h"
#include "params/conv.h"
#include "plan/metal_plan.h"

namespace nhwc::metal {
namespace {

constexpr uint32_t kThreads = 256;  // of kernels with a thread per output

MetalFacts facts_now() {
  static const MetalFacts of_device = [] {
    const GpuFacts& g = gpu_facts();
    MetalFacts f = metal_facts(metal_chip(g.name, g.family), g.cores);
    f.threadgroup_memory = g.threadgroup_memory;
    return f;
  }();
  MetalFacts f = of_device;
  f.workspace_limit = get_workspace_limit();
  f.batch_invariant = batch_invariant();
  f.wanted = env("NHWC_METAL_ALGORITHM");
  return f;
}

/// The plan for `q` under the present facts, from a table of recent ones. Under the eval lock; lasts until the next
/// call.
const MetalPlan& plan_for(const ConvProblem& q) {
  struct Entry {
    MetalFacts facts;
    std::unique_ptr<const MetalPlan> plan;
  };
  using Table = std::array<Entry, 256>;  // direct-mapped, so nothing need be evicted
  static Table& table = *new Table;      // never destroyed: an evaluation may outlive static destructors
  const MetalFacts facts = facts_now();
  Entry& e = table[hash_value(q) % table.size()];
  if (!e.plan || e.facts != facts || e.plan->problem != q)
    e = {facts, std::make_unique<const MetalPlan>(plan_metal_conv(q, facts))};
  return *e.plan;
}

/// An operand as a kernel sees it.
struct Seen {
  const void* low;
  size_t bytes;
  int64_t first = 0;  // elements from `low` to the first
  Strides strides;
  /// Whether every pixel begins at a multiple of `vector` elements.
  bool aligned(int vector, size_t item) const {
    const auto address = reinterpret_cast<uintptr_t>(low) + static_cast<uintptr_t>(first) * item;
    return address % (static_cast<size_t>(vector) * item) == 0 &&
           std::all_of(strides.begin(), strides.end() - 1, [vector](int64_t s) { return s % vector == 0; });
  }
};

Seen copied(const Node& x) {
  const size_t bytes = static_cast<size_t>(size_of(x.shape)) * size_of(x.dtype);
  void* dst = scratch(bytes);
  copy_row_major(dst, x);
  return {dst, bytes, 0, contiguous_strides(x.shape)};
}

Seen row_major(const Node& x) {
  if (!x.row_major) return copied(x);
  return {x.data(), static_cast<size_t>(size_of(x.shape)) * size_of(x.dtype), 0, x.strides};
}

/// By its strides; copied where its channels are not adjacent.
Seen pixels(const Node& x) {
  if (x.shape.back() > 1 && x.strides.back() != 1) return copied(x);
  const Reach r = reach_of(x);
  return {r.low, r.bytes, r.first, x.strides};
}

void stride_axes(const Seen& x, int rank, int64_t (&stride)[4]) {
  stride[0] = x.strides[0];
  for (int i = 0; i < rank; ++i) stride[1 + 3 - rank + i] = x.strides[static_cast<size_t>(1 + i)];
}

ConvParams params_of(const MetalPlan& plan) {
  const ConvProblem& q = plan.problem;
  const auto small = [](int64_t v) { return static_cast<int32_t>(v); };
  ConvParams p{};
  for (int a = 0; a < 3; ++a) {
    const MetalPhases f = phases_of(q, a);
    p.axis[a] = {small(q.in[a]),       small(q.out[a]),         small(q.kernel[a]), small(q.stride[a]),
                 small(q.dilation[a]), small(q.in_dilation[a]), small(q.pad[a]),    small(f.count),
                 small(f.tap_step),    small(f.step),           small(f.reach)};
  }
  p.batch = small(q.batch);
  p.groups = small(q.groups);
  p.c = small(q.c);
  p.o = small(q.o);
  p.fold = small(q.fold);
  p.flip = q.flip;
  p.swapped = q.swapped;
  p.splits = small(plan.splits);
  p.split_steps = small(plan.split_steps);
  return p;
}

/// What one convolution reads and writes.
struct Operands {
  Seen x, w;
  const Node *bias, *residual;
  Activation activation;
  Node& y;
};

/// Bias and residual, where they are.
Launch& epilogue(Launch& l, const Operands& a) {
  for (const Node* n : {a.bias, a.residual}) {
    if (!n) {
      l.none();
      continue;
    }
    const Seen s = row_major(*n);
    l.in(s.low, s.bytes);
  }
  return l.constant(kHasBias, a.bias != nullptr)
      .constant(kHasResidual, a.residual != nullptr)
      .constant(kActivation, static_cast<int32_t>(a.activation))
      .constant(kPartial, false);
}

uint32_t blocks_of(int64_t threads) { return static_cast<uint32_t>(ceil_div(threads, kThreads)); }

/// y = epilogue(sum of `parts`, each of y's shape).
void reduce(const float* sums, int64_t parts, const Operands& a) {
  const int64_t count = size_of(a.y.shape);
  Launch l("conv_reduce", std::string("conv_reduce_") + short_name(a.y.dtype));
  if (parts == 0) sums = static_cast<float*>(scratch(sizeof(float)));  // bound, and not read
  l.in(sums, std::max<size_t>(1, static_cast<size_t>(parts * count)) * sizeof(float));
  epilogue(l, a).out(a.y).params(
      ConvReduceParams{count, count, static_cast<int32_t>(a.y.shape.back()), static_cast<int32_t>(parts)});
  l.run(blocks_of(count), 1, 1, kThreads);
}

/// One launch of the images that `p` names.
void launch_igemm(const MetalPlan& plan, const Operands& a, const ConvParams& p, float* sums) {
  const ConvProblem& q = plan.problem;
  const MetalTile& t = plan.tile;
  const size_t item = size_of(q.dtype);
  const bool vectors = plan.vector > 1 && a.x.aligned(plan.vector, item) && a.w.aligned(plan.vector, item);
  Launch l("conv_igemm", std::string("conv_igemm_") + short_name(q.dtype) + option_name(plan.algorithm, t).substr(5) +
                             "_v" + (vectors ? "4" : "1") + (q.swapped ? "_swapped" : ""));
  l.in(a.x.low, a.x.bytes).in(a.w.low, a.w.bytes);
  if (sums)
    l.none()
        .none()
        .constant(kHasBias, false)
        .constant(kHasResidual, false)
        .constant(kActivation, 0)
        .constant(kPartial, true);
  else
    epilogue(l, a);
  l.out(a.y);
  if (sums)
    l.out(sums, plan.workspace_bytes);
  else
    l.none();
  int64_t rows = 1, phases = 1;
  for (int i = 0; i < 3; ++i) {
    rows *= ceil_div(p.axis[i].out, p.axis[i].phases);
    phases *= p.axis[i].phases;
  }
  l.params(p).run(static_cast<uint32_t>(ceil_div(q.o, t.bn)), static_cast<uint32_t>(ceil_div(p.batch * rows, t.bm)),
                  static_cast<uint32_t>(q.groups * phases * plan.splits), static_cast<uint32_t>(t.threads()));
}

void launch_direct(const MetalPlan& plan, const Operands& a, const ConvParams& p) {
  Launch l("conv_direct", std::string("conv_direct_") + short_name(plan.problem.dtype));
  l.in(a.x.low, a.x.bytes).in(a.w.low, a.w.bytes);
  epilogue(l, a).out(a.y).none().params(p).run(blocks_of(p.outputs), 1, 1, kThreads);
}

void run_forward(const ConvProblem& q, const Operands& a, int rank) {
  const MetalPlan& plan = plan_for(q);
  if (plan.algorithm == MetalAlgorithm::empty) return reduce(nullptr, 0, a);
  ConvParams p = params_of(plan);
  p.partial_stride = size_of(a.y.shape);
  p.x_first = a.x.first;
  stride_axes(a.x, rank, p.x_stride);
  float* sums = plan.splits > 1 ? static_cast<float*>(scratch(plan.workspace_bytes)) : nullptr;
  const int64_t image = q.batch ? size_of(a.y.shape) / q.batch : 0;
  for (int64_t n = 0; n < q.batch; n += plan.images) {
    p.batch = static_cast<int32_t>(std::min(plan.images, q.batch - n));
    p.outputs = p.batch * image;
    if (plan.algorithm == MetalAlgorithm::igemm)
      launch_igemm(plan, a, p, sums);
    else
      launch_direct(plan, a, p);
    p.x_first += p.batch * p.x_stride[0];
    p.y_first += p.outputs;
  }
  if (sums) reduce(sums, plan.splits, a);
}

void run_weight_grad(const ConvProblem& q, const Node& x, const Node& gy, int rank, Node& gw) {
  const MetalPlan& plan = plan_for(q);
  const Seen in = pixels(x), g = pixels(gy);
  const Operands a{in, g, nullptr, nullptr, Activation::none, gw};
  if (plan.algorithm == MetalAlgorithm::empty) return reduce(nullptr, 0, a);
  ConvParams p = params_of(plan);
  p.x_first = in.first;
  p.g_first = g.first;
  stride_axes(in, rank, p.x_stride);
  stride_axes(g, rank, p.g_stride);
  p.outputs = size_of(gw.shape);
  p.pixels = q.batch * q.out[0] * q.out[1] * q.out[2];
  Launch l("conv_direct", std::string("conv_direct_weight_grad_") + short_name(q.dtype));
  l.in(in.low, in.bytes).in(g.low, g.bytes).out(gw).params(p).run(blocks_of(p.outputs), 1, 1, kThreads);
}

}  // namespace

void run(const Conv& p, Node& n) {
  allocate_output(n);
  if (size_of(n.shape) == 0) return;
  const ConvProblem q = normalize(*p.geometry, p.kind, n.dtype);
  const Node &a = *n.inputs[0].node(), &b = *n.inputs[1].node();
  if (p.kind == ConvKind::weight_grad) return run_weight_grad(q, a, b, p.geometry->rank, n);
  run_forward(q, {pixels(a), row_major(b), nullptr, nullptr, Activation::none, n}, p.geometry->rank);
}

void run_conv_fused(const Conv& p, const Node& conv, const Node* bias, const Node* residual, Activation activation,
                    Node& into) {
  allocate_output(into);
  if (size_of(into.shape) == 0) return;
  ConvProblem q = normalize(*p.geometry, p.kind, into.dtype);
  q.has_bias = bias != nullptr;
  q.activation = activation;
  run_forward(q, {pixels(*conv.inputs[0].node()), row_major(*conv.inputs[1].node()), bias, residual, activation, into},
              p.geometry->rank);
}

std::string explain(const Conv& p, const Node& n) {
  return describe(plan_for(normalize(*p.geometry, p.kind, n.dtype)));
}

}  // namespace nhwc::metal
