// csrc/plan/conv_traffic.cpp -- judges from the sizes of operands and caches how far away each will be
#include "plan/conv_traffic.h"

namespace nhwc {
namespace {

/// Whether input and output together do not stay in a cache. What is in L3 comes soon enough on its own: asking for it
/// costs depthwise rows 5 to 20 %; from memory it comes in half the time (8x112x112x64 5x5: 5.7 ms against 2.5). Of 14
/// MB the larger part comes from memory where others share the 32 MB of L3 (8x3299x128 k7 of stride 2: 1.5 ms against
/// 0.4).
bool operands_exceed(const ConvProblem& q, size_t cache) {
  const int64_t in = q.in[0] * q.in[1] * q.in[2] * q.c, out = q.out[0] * q.out[1] * q.out[2] * q.o;
  const int64_t bytes = q.batch * q.groups * (in + out) * static_cast<int64_t>(size_of(q.dtype));
  return static_cast<double>(bytes) > 0.7 * static_cast<double>(cache);
}

double output_bytes(const ConvProblem& q) {
  return static_cast<double>(q.batch * q.out[0] * q.out[1] * q.out[2]) *
         static_cast<double>(q.groups * q.o * static_cast<int64_t>(size_of(q.dtype)));
}

}  // namespace

bool input_is_far(const ConvProblem& q, int element, size_t l2) {
  const int64_t pixels = q.batch * q.in[0] * q.in[1] * q.in[2];
  return static_cast<size_t>(pixels * q.groups * q.c * element) > l2 / 2;
}

void order_depthwise(CpuPlan& plan, const ConvProblem& q, const Machine& machine, const DeviceFacts& f) {
  const bool slow = l3_is_slow(machine);
  plan.prefetch = operands_exceed(q, slow ? 2 * f.l2 : f.l3 / 2);
  plan.row_order = slow && plan.prefetch;
}

bool streams_output(const CpuPlan& plan, const DeviceFacts& f) {
  const ConvProblem& q = plan.problem;
  const int64_t channels = is_plain(plan.algorithm) ? q.o : q.groups * q.o;  // that begin at a line
  return f.isa == Isa::avx512 && q.dtype == Dtype::float32 && channels % 16 == 0 &&
         output_bytes(q) > 0.5 * static_cast<double>(f.l3);
}

bool asks_for_output(const ConvProblem& q, const Machine& machine, size_t l2) {
  const bool longer = q.kernel[0] * q.kernel[1] * q.kernel[2] * q.c >= 24;
  return output_bytes(q) > static_cast<double>(l2) && longer != l3_is_slow(machine);
}

bool asks_for_groups(const ConvProblem& units, const Machine& machine, const DeviceFacts& f) {
  return l3_is_slow(machine) && std::max(units.c, units.o) <= 16 && operands_exceed(units, 2 * f.l2);
}

bool weights_are_far(const ConvProblem& q, int width, const DeviceFacts& f) {
  const int64_t sum = q.kernel[0] * q.kernel[1] * q.kernel[2] * q.c * static_cast<int64_t>(sizeof(float));
  return sum * width > static_cast<int64_t>(f.l1d / 2) || sum * q.groups * q.o > static_cast<int64_t>(f.l2 / 4);
}

bool asks_for_parts(int64_t weight_bytes, const Machine& machine, size_t l2) {
  return l3_is_slow(machine) && weight_bytes > static_cast<int64_t>(l2 / 2);
}

}  // namespace nhwc
