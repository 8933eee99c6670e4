// csrc/kernels/conv_again.cpp -- images whose sums are not finite, by the definition
#include "kernels/conv_again.h"

#include <new>

#include "nhwc/error.h"

namespace nhwc {

NotFinite::NotFinite(int64_t images)
    : images_(images), found_(static_cast<size_t>(images) * sizeof(std::atomic<bool>)) {
  for (int64_t n = 0; n < images; ++n) new (found_.as<std::atomic<bool>>() + n) std::atomic<bool>(false);
}

void NotFinite::run_again(const CpuPlan& plan, const ConvOperands& a) const {
  for (int64_t n = 0; n < images_; ++n) {
    if (!found_.as<std::atomic<bool>>()[n].load(std::memory_order_relaxed)) continue;
    ConvProblem q = plan.problem;
    q.batch = 1;
    q.highest_precision = true;
    ConvOperands one = a;
    NHWC_CHECK(a.w, "what may be computed again needs the weights as they are too");
    const auto bytes = static_cast<int64_t>(size_of(q.dtype));
    one.packed = nullptr;
    one.x = static_cast<const char*>(a.x) + n * a.x_stride[0] * bytes;
    one.y = static_cast<char*>(a.y) + n * q.out[0] * q.out[1] * q.out[2] * q.groups * q.o * bytes;
    DeviceFacts facts = cpu_facts();
    facts.isa = plan.isa;
    run_conv(plan_conv(q, facts), one);
  }
}

}  // namespace nhwc
