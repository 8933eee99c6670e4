// csrc/backend/metal/stopgap.cpp -- primitives whose kernels are still to come: the GPU is waited for, the CPU computes
#include "backend/cpu/run.h"
#include "backend/metal/launch.h"
#include "backend/metal/run.h"

namespace nhwc::metal {
namespace {

void wait_for_gpu() {
  const int queue = current_step().queue;
  GpuError error{};
  const GpuStatus status = gpu_runtime()->wait(queue, gpu_runtime()->commit(queue), &error);
  if (status != GpuStatus::ok) raise_gpu(status, error, "eval");
}

template <class P>
void on_cpu(const P& p, Node& n) {
  wait_for_gpu();
  cpu::run(p, n, false);
}

}  // namespace

void run(const Arange& p, Node& n) { on_cpu(p, n); }
void run(const RandomBits& p, Node& n) { on_cpu(p, n); }


}  // namespace nhwc::metal
