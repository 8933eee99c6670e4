// csrc/base/gpu_runtime.h -- what the backend asks of a GPU's driver: a C interface, and where it is found
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

// The runtime is compiled by the compiler that the platform's GPU headers need (clang with blocks, for metal-cpp), the
// rest of the library by any: so only plain data crosses, and no exception does. On a Mac the runtime is linked in; in
// tests it is a shared library (NHWC_GPU_RUNTIME) in which the same host code drives an emulated device.

namespace nhwc {

enum class GpuStatus : int32_t {
  ok,
  no_device,      // there is no GPU
  unsupported,    // there is one, of a family or system that the kernels were not made for
  no_function,    // the library has no kernel of that name, or it does not compile: the text has the compiler's words
  out_of_memory,  // a buffer could not be had
  device_lost,    // reset, removed, or access revoked
  timeout,        // the system ended a command that ran too long
  failed,         // any other error of the driver
  running,        // not finished in the time that was given
};

/// Filled where a status is not ok: what happened, and the kernel where one is to blame.
struct GpuError {
  char text[1024];
};

struct GpuFacts {
  char name[128];               // "Apple M3 Max"
  int32_t family;               // Apple GPU family: 7 is M1, 8 M2, 9 M3 and M4, 10 M5
  int32_t cores;                // 0: not known
  int32_t simd_width;           // 32
  uint32_t threadgroup_memory;  // bytes
  uint32_t max_threads;         // per threadgroup
  uint64_t max_buffer;          // bytes
  uint64_t working_set;         // bytes that may be resident at once
};

/// An array that a kernel sees at buffer index = its place in the list. `data` may lie anywhere inside a block of
/// allocate(); nothing before it is bound, so strides are added by the caller or positive. Null: not bound.
struct GpuOperand {
  const void* data;
  uint64_t bytes;   // from data on, that the kernel may touch
  int32_t written;  // 0: only read
};

/// A function constant.
struct GpuConstant {
  enum Type : uint8_t { boolean, int32, uint32, float32 };
  uint16_t index;
  Type type;
  union {
    int32_t i;
    uint32_t u;
    float f;
  };
};

/// One dispatch. All pointers need to live only until encode() returns.
struct GpuLaunch {
  const char* library;  // a topic of the embedded sources: "conv", "reduce" ...
  const char* source;   // MSL that was generated from a graph and follows the topic's; null: there is none
  const char* kernel;   // host_name of the function
  const GpuConstant* constants;
  int32_t constant_count;
  const GpuOperand* operands;
  int32_t operand_count;
  const void* params;  // bound at buffer index operand_count; null: none. At most 4096 bytes
  int32_t params_bytes;
  uint32_t groups[3];   // threadgroups
  uint32_t threads[3];  // threads per threadgroup
};

/// Times of one finished dispatch, in seconds of the GPU's clock.
struct GpuTiming {
  const char* kernel;
  double start, end;
};

/// Queues are numbers from 0 on; a queue comes to be when it is first named. Calls come from one thread at a time, but
/// for allocate, release and owns, which any thread makes at any time.
struct GpuRuntime {
  uint32_t version;  // kGpuRuntimeVersion

  /// Once, before anything else.
  GpuStatus (*open)(GpuFacts* facts, GpuError* error);

  /// Memory that the CPU and the GPU share, aligned to 256 bytes; null where there is none.
  void* (*allocate)(uint64_t bytes, GpuError* error);
  /// False where `data` is not a block of allocate(). Nothing in flight may use it.
  bool (*release)(void* data);
  /// Whether the byte at `data` lies in a block of allocate().
  bool (*owns)(const void* data);

  /// Puts a dispatch at the end of a queue. Dispatches of a queue see what those before them wrote; ones that do not
  /// depend on each other may run at once. Compiles the pipeline where it is not there yet.
  GpuStatus (*encode)(int32_t queue, const GpuLaunch* launch, GpuError* error);
  /// Hands what was encoded to the GPU; the number of this batch, from 1 on, or of the last one where nothing was new.
  uint64_t (*commit)(int32_t queue);
  /// The last batch of the queue that has finished, with or without error.
  uint64_t (*finished)(int32_t queue);
  /// Waits until that batch has finished, or so long (negative: without limit), when it gives `running`. The first
  /// error of any batch up to it that was not reported yet.
  GpuStatus (*wait)(int32_t queue, uint64_t batch, int32_t milliseconds, GpuError* error);
  /// What is encoded on `queue` from now on runs after all that was committed on `other`.
  void (*order)(int32_t queue, int32_t other);

  /// Writes a GPU trace to `path` until stop_capture.
  GpuStatus (*start_capture)(const char* path, GpuError* error);
  void (*stop_capture)();
  /// While on, each dispatch is timed; report(ctx, timing) is then called from within wait().
  void (*set_timing)(void (*report)(void* ctx, const GpuTiming* timing), void* ctx);
};
inline constexpr uint32_t kGpuRuntimeVersion = 2;

/// The opened runtime; null where there is none: gpu_missing() then says why.
const GpuRuntime* gpu_runtime();
std::string gpu_missing();
/// Of the opened runtime.
const GpuFacts& gpu_facts();
/// Raises what `status` means, as "[who] text": MemoryError, or RuntimeError.
[[noreturn]] void raise_gpu(GpuStatus status, const GpuError& error, const char* who);

}  // namespace nhwc

/// What a runtime exports.
extern "C" const nhwc::GpuRuntime* nhwc_gpu_runtime();
