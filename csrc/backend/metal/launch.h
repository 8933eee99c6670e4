// csrc/backend/metal/launch.h -- one dispatch to the GPU, put together from nodes
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/gpu_runtime.h"
#include "graph/node.h"

namespace nhwc::metal {

/// The step that is being encoded: on which queue, and what it leaves with the GPU beside its node. Under the eval
/// lock.
struct StepContext {
  /// Memory that the GPU does not see, and where the step has it for the GPU.
  struct Copied {
    const void* from;
    size_t bytes;
    void* to;
  };
  int queue = 0;
  std::vector<BufferRef> kept;     // not given back before the step has finished
  std::vector<BufferRef> scratch;  // neither; only the GPU touches it
  std::vector<BufferRef> spare;    // scratch of steps before on the queue: the GPU is done with it in its order
  std::vector<Copied> copied;
  size_t made = 0;                            // bytes that this step allocated for itself
  std::vector<std::function<void()>> checks;  // run on the evaluating thread when it has; may raise
};
StepContext& current_step();

/// The bytes that `x` reaches by its strides: from the lowest address on. `first` is where its first element lies in
/// them, in elements; 0 unless a stride is negative.
struct Reach {
  const char* low;
  size_t bytes;
  int64_t first;
};
Reach reach_of(const Node& x);

/// Storage for a step's own use on the GPU, which lives until the step has finished. Steps of a queue take turns with
/// it, so the CPU may neither write nor read it.
void* scratch(size_t bytes);
/// The same, which the CPU writes while the step is encoded, or reads in its checks. A step's alone.
void* shared_scratch(size_t bytes);
/// `block`, which only the GPU touches, as scratch of the step.
void keep_as_scratch(BufferRef block);
/// What the step took since it had `mark` blocks of scratch may be taken again by what is encoded from now on.
void spare_scratch(size_t mark = 0);
/// Scratch that is taken in its lifetime is what the next one may take.
class ScratchScope {
 public:
  ScratchScope() : mark_(current_step().scratch.size()) {}
  ~ScratchScope() { spare_scratch(mark_); }
  ScratchScope(const ScratchScope&) = delete;
  ScratchScope& operator=(const ScratchScope&) = delete;

 private:
  size_t mark_;
};
/// So many of `count` pieces of work at a time, of `bytes` of scratch each, as `share` of the workspace limit holds; at
/// least `least`, so that a small limit costs no more than a small multiple of them.
int64_t at_once(int64_t count, size_t bytes, int64_t least = 1, double share = 1);

/// Collects the operands of one kernel in the order of its buffer indices, then puts it on the step's queue.
class Launch {
 public:
  /// A kernel of an embedded library, or of `source`, which then follows it.
  Launch(const char* library, std::string kernel, const char* source = nullptr);

  /// Binds the lowest byte that x reaches: a kernel that takes negative strides is told reach_of(x).first. What the GPU
  /// does not see (memory that NumPy lent) is copied to where it does.
  Launch& in(const Node& x);
  Launch& in(const void* data, size_t bytes);
  /// Row-major storage of `n`, written by the kernel.
  Launch& out(const Node& n);
  Launch& out(void* data, size_t bytes);
  /// An index that stays unbound.
  Launch& none();
  Launch& constant(int index, bool v);
  Launch& constant(int index, int32_t v);
  Launch& constant(int index, uint32_t v);
  Launch& constant(int index, float v);
  /// A plain struct of metal/params, bound after the operands. Copied at once.
  template <class P>
  Launch& params(const P& p) {
    static_assert(std::is_trivially_copyable_v<P> && sizeof(P) <= 4096);
    return params(&p, sizeof p);
  }
  Launch& params(const void* data, size_t bytes);
  /// Encodes `groups` threadgroups of `threads` threads; nothing where a count is zero.
  void run(uint32_t groups_x, uint32_t groups_y, uint32_t groups_z, uint32_t threads_x, uint32_t threads_y = 1,
           uint32_t threads_z = 1);

 private:
  Launch& bind(const void* data, size_t bytes, bool written);
  GpuConstant& add_constant(int index, GpuConstant::Type type);

  const char* library_;
  std::string kernel_;
  const char* source_;
  std::vector<GpuOperand> operands_;
  std::vector<GpuConstant> constants_;
  std::vector<char> params_;
};

/// The part of a kernel's name that says a type: "f32", "bf16", "u8", "bool" ...
const char* short_name(Dtype t);

}  // namespace nhwc::metal
