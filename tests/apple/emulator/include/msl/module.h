// tests/apple/emulator/include/msl/module.h -- what a compiled .metal file and the emulator's core know of each other
#pragma once

// Included by kernels, which have no standard headers, and by the core. A module calls the core only through Runtime,
// so it needs no symbol of the process that loads it.

namespace msl {

using u8 = __UINT8_TYPE__;
using u16 = __UINT16_TYPE__;
using u32 = __UINT32_TYPE__;
using u64 = __UINT64_TYPE__;

inline constexpr u32 kModuleVersion = 1;
inline constexpr u32 kSimdWidth = 32;

/// The same for all threads of a group.
struct Group {
  u32 position[3];  // of the group in the grid, in groups
  u32 threads[3];   // per group, of this one
  u32 groups[3];    // in the grid
  u32 grid[3];      // threads in the grid
  u32 dispatch_threads[3];
  u32 simds;
};

/// What a thread knows of itself; the core keeps its own state behind it.
struct Thread {
  const Group* group;
  u32 position[3];  // in the grid
  u32 local[3];     // in the group
  u32 index;        // in the group
  u32 lane, simd;
};

/// A place in a .metal file. The text lives as long as the module.
struct Site {
  const char* what;  // "threadgroup_barrier", "simd_sum"
  const char* file;
  u32 line;
};

enum Access : u32 { kLoad = 0, kStore = 1, kAtomic = 2 };

/// What the core does for a module.
struct Runtime {
  Thread* const* current;
  void* const* buffers;              // bound at [[buffer(i)]]
  void* const* threadgroup_buffers;  // bound at [[threadgroup(i)]]
  /// Waits for all threads of the group. `memory`: mem_flags, which accesses before it are seen after it.
  void (*barrier)(u32 memory, Site site);
  /// Waits for all threads of the simdgroup.
  void (*simd_barrier)(u32 memory, Site site);
  /// Hands in `size` bytes (at most 64) and waits for the simdgroup; the values of all lanes, `size` apart, valid until
  /// the lane's next call. `active` is the mask of lanes that took part.
  const void* (*exchange)(const void* value, u32 size, u32* active, Site site);
  /// The 8x8 product of a simdgroup: lane l has elements 2l, 2l+1 of each matrix; out = a * b + c in float32.
  void (*mma)(const float a[2], const float b[2], const float c[2], float out[2], Site site);
  /// The memory of `threadgroup T a[N];`, one per group and key.
  void* (*threadgroup_block)(const void* key, u64 bytes, Site site);
  /// Before an access that the compiler does not report itself, or whose place is the caller's.
  void (*access)(const void* data, u64 bytes, Access access, Site site);
  /// An access that the compiler reports (--mode check); `code` is the return address.
  void (*traced_access)(const void* data, u64 bytes, Access access, const void* code);
  /// Ends the launch.
  void (*fail)(const char* text, Site site);
};

enum class Bind : u32 { buffer, shared, builtin };  // shared: threadgroup memory, a word that kernels see as a macro

enum class Builtin : u32 {
  none,
  thread_position_in_grid,
  thread_position_in_threadgroup,
  threadgroup_position_in_grid,
  threads_per_threadgroup,
  dispatch_threads_per_threadgroup,
  threads_per_grid,
  threadgroups_per_grid,
  thread_index_in_threadgroup,
  thread_index_in_simdgroup,
  simdgroup_index_in_threadgroup,
  simdgroups_per_threadgroup,
  dispatch_simdgroups_per_threadgroup,
  threads_per_simdgroup,
  thread_index_in_quadgroup,
  quadgroup_index_in_threadgroup,
};

struct BindingInfo {
  Bind kind;
  u32 index;
  const char* name;
  u64 bytes;
  bool reference, written, constant;
  const bool* enabled;
};

struct KernelInfo {
  const char* name;
  const char* file;
  u32 line;
  u32 max_threads;
  const BindingInfo* bindings;
  u32 binding_count;
  void (*run)(const Thread&);
  const char* needs;  // names of the function constants in its text, each followed by a blank
};

struct ConstantInfo {
  const char* name;
  u32 index;
  u32 type;  // emu_type
  u32 bytes;
  void* value;
  bool* defined;
};

struct ModuleInfo {
  u32 version;
  const KernelInfo* kernels;
  u32 kernel_count;
  const ConstantInfo* constants;
  u32 constant_count;
  void (*attach)(const Runtime*);
  void (*derive)();  // computes the constants that are made of function constants
  bool traced;       // compiled with --mode check
};

}  // namespace msl

/// What a module exports.
extern "C" const msl::ModuleInfo* msl_module_v1();
