// csrc/plan/conv_describe.cpp -- problems and plans as text: what nhwc.explain prints
#include <sstream>

#include "plan/conv_plan.h"

namespace nhwc {

std::string describe(const ConvProblem& q) {
  std::ostringstream s;
  const auto axes = [&s](const char* what, const int64_t (&v)[3]) {
    s << ' ' << what << '=' << v[0] << 'x' << v[1] << 'x' << v[2];
  };
  s << (q.form == ConvProblem::Form::forward ? "forward" : "weight gradient") << ' ' << name(q.dtype)
    << " batch=" << q.batch << " groups=" << q.groups << " c=" << q.c << " o=" << q.o;
  axes("in", q.in);
  axes("out", q.out);
  axes("kernel", q.kernel);
  axes("stride", q.stride);
  axes("dilation", q.dilation);
  axes("in_dilation", q.in_dilation);
  axes("pad", q.pad);
  if (q.fold > 1) s << " folded=" << q.fold;
  s << (q.flip ? " flipped" : "") << (q.swapped ? " swapped" : "");
  return s.str();
}

std::string describe(const CpuPlan& plan) {
  std::ostringstream s;
  s << describe(plan.problem) << "\n  " << name(plan.algorithm) << " on " << name(plan.isa) << ", tile " << plan.mr
    << 'x' << plan.nr << ", scratch per thread " << plan.workspace_bytes << " bytes, about " << plan.cost_us
    << " us on one core (" << plan.machine->name << "): " << plan.reason << '\n';
  if (plan.algorithm == ConvAlgorithm::fft)
    s << "  blocks of " << plan.block[0] << 'x' << plan.block[1] << " points, " << plan.block_pairs
      << " pairs at a time\n";
  if (plan.slabs.images > 0)
    s << "  widened to float32, " << plan.slabs.images << (plan.slabs.images == 1 ? " image of " : " images of ")
      << plan.slabs.out[0] << 'x' << plan.slabs.out[1] << 'x' << plan.slabs.out[2] << " outputs at a time\n";
  if (plan.algorithm == ConvAlgorithm::planar)
    s << "  blocks of " << plan.planar.rows << 'x' << plan.planar.columns << " outputs, " << plan.planar.groups
      << (plan.planar.groups == 1 ? " group" : " groups") << " at a time\n";
  if (plan.measured_us > 0)
    s << "  tuned: measured " << plan.measured_us << " us, the model preferred "
      << (plan.preferred == plan.algorithm ? "it too" : name(plan.preferred)) << '\n';
  for (const Rejected& r : plan.rejected) {
    s << "  not " << name(r.algorithm) << ": " << r.why;
    if (r.cost_us > 0) s << ", about " << r.cost_us << " us";
    s << '\n';
  }
  return s.str();
}

}  // namespace nhwc
