// csrc/backend/metal/conv.cpp -- Conv on the GPU: from nodes to a plan, operands and the kernels that run it
#include <algorithm>
#include <array>
#include <cmath>
#include <memory>

#include "backend/metal/conv_far.h"
#include "backend/metal/conv_run.h"
#include "backend/metal/launch.h"
#include "backend/metal/run.h"
#include "base/divide.h"
#include "base/env.h"
#include "nhwc/error.h"
#include "nhwc/memory.h"
#include "params/conv.h"
#include "plan/metal_cost.h"
#include "plan/metal_plan.h"

namespace nhwc::metal {

MetalFacts facts_now(size_t taken) {
  static const MetalFacts& of_device = *new MetalFacts([] {
    const GpuFacts& g = gpu_facts();
    MetalFacts f = metal_facts(metal_chip(g.name, g.family), g.cores);
    f.threadgroup_memory = g.threadgroup_memory;
    return f;
  }());
  MetalFacts f = of_device;
  f.workspace_limit = get_workspace_limit() - std::min(taken, get_workspace_limit());
  f.batch_invariant = batch_invariant();
  f.wanted = env("NHWC_METAL_ALGORITHM");
  return f;
}

Launch& bind_sums(Launch& l, float* sums, const MetalPlan& plan) {
  l.constant(kPartial, sums != nullptr);
  return sums ? l.out(sums, plan.workspace_bytes) : l.none();
}

Launch& bind_epilogue(Launch& l, const Operands& a, bool wanted) {
  for (const Seen* s : {&a.bias, &a.residual}) s->low&& wanted ? l.in(s->low, s->bytes) : l.none();
  return l.constant(kHasBias, wanted && a.bias.low)
      .constant(kHasResidual, wanted && a.residual.low)
      .constant(kActivation, wanted ? static_cast<int32_t>(a.activation) : 0);
}

float* scratch_of(const MetalPlan& plan) {
  return plan.splits > 1 ? static_cast<float*>(scratch(plan.workspace_bytes)) : nullptr;
}

uint32_t blocks(int64_t count, int64_t size) { return static_cast<uint32_t>(ceil_div(count, size)); }

namespace {

using namespace metal_cost;

/// The plan for `q` under the present facts, from a table of recent ones. Under the eval lock; lasts until the next
/// call. `direct`: of the kernel that takes weights of any strides.
const MetalPlan& plan_for(const ConvProblem& q, size_t taken = 0, bool direct = false) {
  struct Entry {
    MetalFacts facts;
    std::unique_ptr<const MetalPlan> plan;
  };
  using Table = std::array<Entry, 256>;  // direct-mapped, so nothing need be evicted
  static Table& table = *new Table;      // never destroyed: an evaluation may outlive static destructors
  MetalFacts facts = facts_now(taken);
  if (direct) facts.wanted = name_of(MetalAlgorithm::direct);
  Entry& e = table[hash_value(q) % table.size()];
  if (!e.plan || e.facts != facts || e.plan->problem != q)
    e = {facts, std::make_unique<const MetalPlan>(plan_metal_conv(q, facts))};
  return *e.plan;
}

size_t bytes_of(const Node& x) { return static_cast<size_t>(size_of(x.shape)) * size_of(x.dtype); }
/// x, which was copied to `data`.
Seen copied(const Node& x, void* data) { return {data, bytes_of(x), 0, contiguous_strides(x.shape)}; }
Seen copy_of(const Node& x) {
  void* data = scratch(bytes_of(x));
  copy_row_major(data, x);
  return copied(x, data);
}
Seen row_major(const Node& x) { return x.row_major ? Seen{x.data(), bytes_of(x), 0, x.strides} : copy_of(x); }

Seen in_place(const Node& x) {
  const Reach r = reach_of(x);
  return {r.low, r.bytes, r.first, x.strides};
}

/// Weights are read often, so they are copied where they are not row-major. One kernel takes any strides: for what a
/// quarter of the workspace does not hold.
bool read_in_place(const Node& w) { return !w.row_major && bytes_of(w) > get_workspace_limit() / 4; }
Operands with_weights(const Node& w, const Node* bias, Activation activation, const Node& y) {
  const bool strided = read_in_place(w);
  return {{},
          strided ? in_place(w) : row_major(w),
          bias ? row_major(*bias) : Seen{},
          {},
          activation,
          y,
          strided ? &w : nullptr};
}
/// Bytes of the workspace that the copies of this step's operands take.
size_t copied_bytes() {
  size_t bytes = 0;
  for (const BufferRef& block : current_step().scratch) bytes += block->bytes;
  return bytes;
}

bool channels_adjacent(const Node& x) { return x.shape.back() <= 1 || x.strides.back() == 1; }

/// The part of x of `count` positions along an axis, `first` elements on.
Array block_of(const Node& x, size_t axis, int64_t count, int64_t first) {
  Shape shape = x.shape;
  shape[axis] = count;
  Array part = make_node(Identity{IdentityKind::alias}, std::move(shape), x.dtype, {}, x.stream);
  share_storage(*part.node(), x, x.strides, x.offset + first * static_cast<int64_t>(size_of(x.dtype)));
  return part;
}
/// Elements of a row-major array like y, from the first on.
Seen part_of(const Seen& all, const Node& y, int64_t first, int64_t count) {
  const size_t item = size_of(y.dtype);
  return {
      static_cast<const char*>(all.low) + static_cast<size_t>(first) * item, static_cast<size_t>(count) * item, 0, {}};
}

void stride_axes(const Seen& x, int rank, int64_t (&stride)[4], int64_t& channel) {
  channel = x.strides.back();
  stride[0] = x.strides[0];
  for (int i = 0; i < rank; ++i) stride[1 + 3 - rank + i] = x.strides[static_cast<size_t>(1 + i)];
}

void stride_weights(const Node& w, int64_t first, ConvParams& p) {
  p.w_first = first;
  p.w_axes = static_cast<int32_t>(w.shape.size());
  for (size_t i = 0; i < w.shape.size(); ++i) p.w_axis[i] = {w.shape[i], w.strides[i]};
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
  for (int a = 0; a < 3; ++a) p.box[a] = small(plan.box.out[a]);
  p.box_groups = small(plan.box.groups);
  return p;
}

/// y = epilogue(sum of `parts`, each of y's shape).
void reduce(const float* sums, int64_t parts, const Operands& a) {
  const int64_t count = size_of(a.y.shape);
  Launch l("conv_reduce", std::string("conv_reduce_") + short_name(a.y.dtype));
  if (parts == 0) sums = static_cast<float*>(scratch(sizeof(float)));  // bound, and not read
  l.in(sums, std::max<size_t>(1, static_cast<size_t>(parts * count)) * sizeof(float));
  bind_epilogue(l, a, true)
      .constant(kPartial, false)
      .out(a.y)
      .params(ConvReduceParams{count, count, static_cast<int32_t>(a.y.shape.back()), static_cast<int32_t>(parts)});
  l.run(blocks(count, kThreads), 1, 1, kThreads);
}

const char* library_of(MetalAlgorithm a) {
  switch (a) {
    case MetalAlgorithm::igemm:
      return "conv_igemm";
    case MetalAlgorithm::grouped:
      return "conv_grouped";
    case MetalAlgorithm::weight_grad:
      return "conv_weight_grad";
    default:
      return "conv_direct";
  }
}

std::string kernel_of(const MetalPlan& plan, const Operands& a) {
  const ConvProblem& q = plan.problem;
  const size_t item = size_of(q.dtype);
  const bool vectors = plan.vector > 1 && a.x.aligned(plan.vector, item) && a.w.aligned(plan.vector, item);
  const std::string name = std::string("conv_") + name_of(plan.algorithm) + "_" + short_name(q.dtype);
  if (!plan.tile.bm) return name;
  return name + "_" + tile_name(plan.tile) + (vectors ? "_v4" : "_v1") + (q.swapped ? "_swapped" : "");
}

uint32_t boxes_of(const MetalPlan& plan) {
  uint32_t n = 1;
  for (int a = 0; a < 3; ++a)
    n *= blocks(ceil_div(plan.problem.out[a], phases_of(plan.problem, a).count), plan.box.out[a]);
  return n;
}

/// One launch of the images that `p` names.
void launch_forward(const MetalPlan& plan, const Operands& a, const ConvParams& p, float* sums) {
  const ConvProblem& q = plan.problem;
  const MetalTile& t = plan.tile;
  Launch l(library_of(plan.algorithm), kernel_of(plan, a));
  l.in(a.x.low, a.x.bytes).in(a.w.low, a.w.bytes);
  bind_epilogue(l, a, sums == nullptr).out(a.y);
  bind_sums(l, sums, plan).params(p);
  const auto of_phases = static_cast<uint32_t>(phases(q));
  if (plan.algorithm == MetalAlgorithm::igemm)
    l.run(blocks(q.o, t.bn), blocks(p.batch * pixels_of_phase(q), t.bm),
          static_cast<uint32_t>(q.groups * plan.splits) * of_phases, static_cast<uint32_t>(t.threads()));
  else if (plan.algorithm == MetalAlgorithm::grouped)
    l.run(boxes_of(plan), blocks(q.groups, plan.box.groups), static_cast<uint32_t>(p.batch) * of_phases, kThreads);
  else
    l.run(blocks(p.outputs, kThreads), 1, 1, kThreads);
}

void run_forward(const ConvProblem& q, const Operands& a, int rank, size_t taken = 0) {
  const ScratchScope scope;
  const MetalPlan& plan = plan_for(q, taken, a.strided);
  if (plan.algorithm == MetalAlgorithm::empty) return reduce(nullptr, 0, a);
  ConvParams p = params_of(plan);
  if (a.strided) stride_weights(*a.strided, a.w.first, p);
  p.partial_stride = size_of(a.y.shape);
  p.x_first = a.x.first;
  stride_axes(a.x, rank, p.x_stride, p.x_channel);
  if (plan.algorithm == MetalAlgorithm::winograd) return run_winograd(plan, a, p);
  float* sums = scratch_of(plan);
  const int64_t image = size_of(a.y.shape) / q.batch;
  for (int64_t n = 0; n < q.batch; n += plan.images) {
    p.batch = static_cast<int32_t>(std::min(plan.images, q.batch - n));
    p.outputs = p.batch * image;
    launch_forward(plan, a, p, sums);
    p.x_first += p.batch * p.x_stride[0];
    p.y_first += p.outputs;
  }
  if (sums) reduce(sums, plan.splits, a);
}

/// Part by part along an axis whose positions pass 32 bits, image by image. A part begins at any position.
void run_parts(const ConvProblem& q, const Operands& a, int rank, size_t taken = 0) {
  const int axis = far_axis(q);
  if (axis == 3) return run_forward(q, a, rank, taken);
  const int64_t most = outputs_of_part(q, axis);
  const auto place = static_cast<size_t>(axis - 3 + rank + 1);  // in the shape of x and y
  const int64_t rows = size_of(a.y.shape) / (q.batch * q.out[axis]);
  for (int64_t n = 0; n < q.batch; ++n)
    for (int64_t begin = 0; begin < q.out[axis]; begin += most) {
      const int64_t count = std::min(most, q.out[axis] - begin);
      AxisPart part = part_along(q, axis, begin, count);
      part.q.batch = 1;
      const Array y = block_of(a.y, place, count, (n * q.out[axis] + begin) * rows);
      Operands of_part{a.x, a.w, a.bias, {}, a.activation, *y.node(), a.strided};
      of_part.x.first += n * a.x.strides[0] + part.from * a.x.strides[place];
      if (a.residual.low) of_part.residual = part_of(a.residual, a.y, (n * q.out[axis] + begin) * rows, count * rows);
      run_parts(part.q, of_part, rank, taken);
    }
}

/// Kernels read pixels whose channels are not adjacent too, but one by one and from many places: what fits half of the
/// workspace is copied, so many images at a time. `residual` of any strides is copied to where y will be.
void run_images(const ConvProblem& q, const Node& x, Operands a, const Node* residual, int rank) {
  if (residual && residual->row_major) {
    a.residual = row_major(*residual);
  } else if (residual) {
    copy_row_major(a.y.data(), *residual);
    a.residual = row_major(a.y);
  }
  const size_t copies = copied_bytes(), image = q.batch ? bytes_of(x) / static_cast<size_t>(q.batch) : 0;
  if (channels_adjacent(x) || image > get_workspace_limit() / 2) {
    a.x = in_place(x);
    return run_parts(q, a, rank, copies);
  }
  const int64_t most = at_once(q.batch, std::max<size_t>(1, image), 1, 0.5);
  const size_t bytes = static_cast<size_t>(most) * image;
  void* data = scratch(bytes);
  const int64_t row = size_of(a.y.shape) / q.batch;
  ConvProblem part = q;
  for (int64_t n = 0; n < q.batch; n += most) {
    part.batch = std::min(most, q.batch - n);
    const Array from = block_of(x, 0, part.batch, n * x.strides[0]), to = block_of(a.y, 0, part.batch, n * row);
    copy_row_major(data, *from.node());
    Operands of_part{copied(*from.node(), data), a.w, a.bias, {}, a.activation, *to.node(), a.strided};
    if (a.residual.low) of_part.residual = part_of(a.residual, a.y, n * row, part.batch * row);
    run_parts(part, of_part, rank, copies + bytes);
  }
}

/// The same for an operand of a weight gradient, which has one sum over all images.
Seen pixels(const Node& x) {
  return channels_adjacent(x) || bytes_of(x) > get_workspace_limit() / 4 ? in_place(x) : copy_of(x);
}

void run_weight_grad(const ConvProblem& q, const Node& x, const Node& g, const Node& y, int rank) {
  const Operands a{pixels(x), pixels(g), {}, {}, Activation::none, y};
  const MetalPlan& plan = plan_for(q, copied_bytes());
  if (plan.algorithm == MetalAlgorithm::empty) return reduce(nullptr, 0, a);
  const bool tiled = plan.algorithm == MetalAlgorithm::weight_grad;
  if (tiled && has_unmet_taps(q)) reduce(nullptr, 0, a);  // which are zero
  ConvParams p = params_of(plan);
  p.x_first = a.x.first;
  p.g_first = a.w.first;
  stride_axes(a.x, rank, p.x_stride, p.x_channel);
  stride_axes(a.w, rank, p.g_stride, p.g_channel);
  p.outputs = p.partial_stride = size_of(a.y.shape);
  p.pixels = q.batch * q.out[0] * q.out[1] * q.out[2];
  p.split_pixels = plan.split_steps;
  float* sums = scratch_of(plan);
  Launch l(library_of(plan.algorithm), kernel_of(plan, a));
  l.in(a.x.low, a.x.bytes).in(a.w.low, a.w.bytes).out(a.y);
  bind_sums(l, sums, plan).params(p);
  l.constant(kHasBias, false).constant(kHasResidual, false).constant(kActivation, 0);
  const MetalTile& t = plan.tile;
  const auto parts = static_cast<uint32_t>(plan.splits);
  if (tiled)
    l.run(blocks(taps_of_phase(q) * q.c, t.bn), blocks(q.o, t.bm), parts * static_cast<uint32_t>(q.groups * phases(q)),
          static_cast<uint32_t>(t.threads()));
  else
    l.run(blocks(p.outputs, kThreads), parts, 1, kThreads);
  if (sums) reduce(sums, plan.splits, a);
}

}  // namespace

void sum_parts(const float* sums, int64_t parts, const Node& y) {
  reduce(sums, parts, {{}, {}, {}, {}, Activation::none, y});
}

void run(const Conv& p, Node& n) {
  allocate_output(n);
  if (size_of(n.shape) == 0) return;
  const ConvProblem q = narrowed(normalize(*p.geometry, p.kind, n.dtype));
  const Node &a = *n.inputs[0].node(), &b = *n.inputs[1].node();
  if (p.kind == ConvKind::weight_grad)
    if (const int axis = far_axis(q); axis < 3) outputs_of_part(q, axis);  // raises
  if (p.kind == ConvKind::weight_grad) return run_weight_grad(q, a, b, n, p.geometry->rank);
  run_images(q, a, with_weights(b, nullptr, Activation::none, n), nullptr, p.geometry->rank);
}

void run_conv_fused(const Conv& p, const Node& conv, const Node* bias, const Node* residual, Activation activation,
                    Node& into) {
  allocate_output(into);
  if (size_of(into.shape) == 0) return;
  ConvProblem q = narrowed(normalize(*p.geometry, p.kind, into.dtype));
  q.has_bias = bias != nullptr;
  q.activation = activation;
  run_images(q, *conv.inputs[0].node(), with_weights(*conv.inputs[1].node(), bias, activation, into), residual,
             p.geometry->rank);
}

std::string explain(const Conv& p, const Node& n) {
  ConvProblem q = narrowed(normalize(*p.geometry, p.kind, n.dtype));
  for (int axis = far_axis(q); axis < 3; axis = far_axis(q)) q = part_along(q, axis, 0, outputs_of_part(q, axis)).q;
  return describe(plan_for(q));
}

}  // namespace nhwc::metal
