// csrc/backend/metal/conv_winograd.cpp -- a convolution by Winograd's tiles on the GPU: transforms around 36 products
#include "backend/metal/conv_run.h"
#include "base/divide.h"
#include "params/matmul.h"
#include "plan/metal_cost.h"

namespace nhwc::metal {
namespace {

using namespace metal_cost;

float* floats(int64_t count) { return static_cast<float*>(scratch(static_cast<size_t>(count) * sizeof(float))); }
size_t bytes_of(int64_t count) { return static_cast<size_t>(count) * sizeof(float); }

/// products = inputs x weights, at every point.
void multiply(const MetalPlan& plan, int64_t tiles, const float* inputs, const float* weights, float* products) {
  const int64_t c = plan.problem.c, o = plan.problem.o;
  MatmulParams p{};
  p.m = tiles, p.n = o, p.k = c;
  p.a = {0, c, 1, {0, 0, 0, tiles * c}};
  p.b = {0, o, 1, {0, 0, 0, c * o}};
  p.batch[0] = p.batch[1] = p.batch[2] = 1;
  p.batch[3] = kWinogradPoints;
  p.splits = 1;
  p.split_steps = static_cast<int32_t>(ceil_div(c, plan.tile.bk));
  Launch l("matmul", "matmul_f32_" + tile_name(plan.tile) + (plan.vector > 1 ? "_v4_nn" : "_v1_nn"));
  l.in(inputs, bytes_of(kWinogradPoints * tiles * c)).in(weights, bytes_of(kWinogradPoints * c * o));
  l.out(products, bytes_of(kWinogradPoints * tiles * o)).none().params(p);
  l.constant(kHasBias, false).constant(kHasResidual, false).constant(kActivation, 0).constant(kPartial, false);
  l.run(blocks(o, plan.tile.bn), blocks(tiles, plan.tile.bm), static_cast<uint32_t>(kWinogradPoints),
        static_cast<uint32_t>(plan.tile.threads()));
}

/// One thread per element of an input transform.
void transform(const std::string& kernel, const Seen& from, float* to, int64_t count, const ConvWinogradParams& p) {
  Launch l("conv_winograd", kernel);
  l.in(from.low, from.bytes).out(to, bytes_of(kWinogradPoints * count)).params(p);
  l.constant(kHasBias, false).constant(kHasResidual, false).constant(kActivation, 0).constant(kPartial, false);
  l.run(blocks(count, kThreads), 1, 1, kThreads);
}

}  // namespace

void run_winograd(const MetalPlan& plan, const Operands& a, const ConvParams& of_problem) {
  const ConvProblem& q = plan.problem;
  ConvWinogradParams p{};
  p.conv = of_problem;
  p.rows = static_cast<int32_t>(ceil_div(q.out[1], 4));
  p.columns = static_cast<int32_t>(ceil_div(q.out[2], 4));
  const int64_t all = q.batch * p.rows * p.columns;
  float* weights = floats(kWinogradPoints * q.c * q.o);
  float* inputs = floats(kWinogradPoints * plan.winograd_tiles * q.c);
  float* products = floats(kWinogradPoints * plan.winograd_tiles * q.o);
  const std::string type = short_name(q.dtype);
  transform("conv_winograd_weights_" + type, a.w, weights, q.c * q.o, p);
  for (; p.first_tile < all; p.first_tile += plan.winograd_tiles) {
    const int64_t tiles = std::min(plan.winograd_tiles, all - p.first_tile);
    p.tiles = static_cast<int32_t>(tiles);
    transform("conv_winograd_input_" + type, a.x, inputs, tiles * q.c, p);
    multiply(plan, tiles, inputs, weights, products);
    Launch l("conv_winograd", "conv_winograd_output_" + type);
    l.in(products, bytes_of(kWinogradPoints * tiles * q.o)).in(a.x.low, a.x.bytes).in(a.w.low, a.w.bytes);
    bind_epilogue(l, a, true).constant(kPartial, false).out(a.y).params(p);
    l.run(blocks(tiles * q.o, kThreads), 1, 1, kThreads);
  }
}

}  // namespace nhwc::metal
