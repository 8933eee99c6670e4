// csrc/backend/metal/copy.cpp -- row-major copies on the GPU
#include <cstring>

#include "backend/cpu/strided.h"
#include "backend/metal/launch.h"
#include "backend/metal/run.h"

namespace nhwc::metal {

void copy_row_major(void* dst, const Node& x) {
  const int queue = current_step().queue;
  GpuError error{};
  if (gpu_runtime()->wait(queue, gpu_runtime()->commit(queue), &error) != GpuStatus::ok)
    raise_gpu(GpuStatus::failed, error, "copy");
  cpu::copy_row_major(static_cast<char*>(dst), x);
}

}  // namespace nhwc::metal
