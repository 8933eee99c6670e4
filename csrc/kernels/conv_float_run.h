// csrc/kernels/conv_float_run.h -- what the tasks of a float32 plan share whose kernels add nothing to what is there
#pragma once

#include "kernels/conv_pack.h"
#include "kernels/conv_types.h"

namespace nhwc {

struct FloatRun {
  FloatRun(const CpuPlan& p, const ConvOperands& operands, const void* weights)
      : plan(p),
        q(p.problem),
        a(operands),
        f(table_for(p.isa).conv.f32),
        packed(static_cast<const float*>(weights)),
        layout(p),
        end(q.activation, operands.residual_from_y, false) {}
  const CpuPlan& plan;
  const ConvProblem& q;
  const ConvOperands& a;
  const FloatKernels<float>& f;
  const float* packed;
  PackedLayout layout;
  Epilogue<float> end;
};

}  // namespace nhwc
