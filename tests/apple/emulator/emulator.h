// tests/apple/emulator/emulator.h -- runs compiled .metal files on the CPU: the C interface of the emulator's core
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// compile.py turns a .metal file into a shared object (a module); this interface opens it, says what its kernels are,
// and runs them. The core (core/*.cpp) has no state but the opened modules and the stacks it keeps; launches of several
// threads wait for each other. Nothing throws, and an error in a kernel comes back as text: the process lives on.

#ifdef __cplusplus
extern "C" {
#endif

enum {
  EMU_MAX_BUFFERS = 31,
  EMU_MAX_THREADGROUP_BINDINGS = 31,
  EMU_THREADGROUP_LIMIT = 32768,  // bytes of threadgroup memory, static and bound together
  EMU_MAX_THREADS = 1024,         // per threadgroup
  EMU_SIMD_WIDTH = 32,
};

typedef enum emu_status {
  EMU_OK = 0,
  EMU_BAD_MODULE,    // not a module, or one of another version
  EMU_BAD_LAUNCH,    // the arguments do not fit the kernel: a buffer not bound or too small, a constant not set, sizes
  EMU_KERNEL_ERROR,  // the kernel did what it must not: divergent barrier, access out of bounds, race, crash
} emu_status;

/// Filled where a status is not EMU_OK: the kernel's name, the .metal file and line where known, and what happened.
typedef struct emu_error {
  char text[2048];
} emu_error;

typedef enum emu_binding_kind {
  EMU_BUFFER,       // [[buffer(index)]]
  EMU_THREADGROUP,  // [[threadgroup(index)]]
} emu_binding_kind;

/// One argument of a kernel that the host binds.
typedef struct emu_binding {
  emu_binding_kind kind;
  uint32_t index;
  const char* name;
  uint64_t bytes;       // of what it points or refers to: of the struct for a reference, of an element for a pointer
  bool reference;       // `constant Params& p`: at least `bytes` must be bound
  bool written;         // not const: the kernel may write
  const bool* enabled;  // null: always there; else the function constant that says so ([[function_constant(c)]])
} emu_binding;

typedef enum emu_type { EMU_BOOL, EMU_INT, EMU_UINT, EMU_FLOAT, EMU_SHORT, EMU_USHORT, EMU_HALF, EMU_OTHER } emu_type;

/// A function constant that the module declares.
typedef struct emu_constant {
  const char* name;
  uint32_t index;
  emu_type type;
  uint32_t bytes;
} emu_constant;

typedef struct emu_module emu_module;

/// Lives as long as its module.
typedef struct emu_kernel {
  const char* name;  // host_name
  const char* file;  // where it is written
  int32_t line;
  uint32_t max_threads;  // max_total_threads_per_threadgroup; 0: not said
  uint32_t binding_count;
  const emu_binding* bindings;
  emu_module* module;
} emu_kernel;

/// `path` is what compile.py wrote. A module that is opened twice is one module.
emu_status emu_open(const char* path, emu_module** module, emu_error* error);
void emu_close(emu_module* module);

uint32_t emu_kernel_count(const emu_module* module);
const emu_kernel* emu_kernel_at(const emu_module* module, uint32_t i);
/// Null where there is none.
const emu_kernel* emu_find_kernel(const emu_module* module, const char* name);
uint32_t emu_constant_count(const emu_module* module);
const emu_constant* emu_constant_at(const emu_module* module, uint32_t i);

/// A value for a function constant, found by name where `name` is given, else by index.
typedef struct emu_constant_value {
  const char* name;
  uint32_t index;
  const void* value;  // of the constant's type
} emu_constant_value;

typedef struct emu_buffer {
  void* data;      // null: not bound
  uint64_t bytes;  // from data on, that the kernel may touch
} emu_buffer;

/// The orders in which threads get their turn. Seed 0 is `EMU_IN_ORDER`; other seeds choose one, and shuffle the
/// groups.
typedef enum emu_order {
  EMU_ORDER_BY_SEED = 0,
  EMU_IN_ORDER,         // threads as they are numbered, each as far as it gets
  EMU_REVERSED,         // the last simdgroup and lane first
  EMU_RANDOM,           // any thread that may go on
  EMU_SIMDGROUP_FIRST,  // one simdgroup as far as it gets before the next has a turn, in an order by chance
} emu_order;

typedef struct emu_launch {
  emu_buffer buffers[EMU_MAX_BUFFERS];
  uint32_t threadgroup_bytes[EMU_MAX_THREADGROUP_BINDINGS];  // setThreadgroupMemoryLength
  uint32_t groups[3];                                        // dispatchThreadgroups
  uint32_t threads[3];                                       // per threadgroup
  uint32_t
      grid[3];  // dispatchThreads: threads in all, the last groups may be smaller, `groups` is not read; {0,0,0}: no
  const emu_constant_value* constants;
  uint32_t constant_count;
  uint64_t seed;
  emu_order order;
} emu_launch;

/// What a launch did. Those marked [check] are 0 unless the module was compiled with --mode check.
typedef struct emu_counters {
  uint64_t threads;
  uint64_t barriers;               // threadgroup barriers, once per group
  uint64_t simd_operations;        // simdgroup rendezvous (shuffles, sums, barriers, products), once per simdgroup
  uint64_t mma;                    // 8x8x8 products, once per simdgroup
  uint64_t threadgroup_bytes;      // the most of any group: memory, not traffic
  uint64_t device_read;            // [check] bytes loaded from and stored to buffers
  uint64_t device_written;         // [check]
  uint64_t device_read_unique;     // [check] distinct bytes: what a cache of any size would fetch
  uint64_t device_written_unique;  // [check]
  uint64_t threadgroup_read;       // [check] bytes
  uint64_t threadgroup_written;    // [check]
  uint64_t constant_read;          // [check] bytes loaded from `constant` buffers, which the others leave out
  uint64_t atomics;                // atomic operations on device memory and threadgroup memory
  double seconds;
} emu_counters;

/// Runs to the end. `counters` and `error` may be null.
emu_status emu_run(const emu_kernel* kernel, const emu_launch* launch, emu_counters* counters, emu_error* error);

#ifdef __cplusplus
}
#endif
