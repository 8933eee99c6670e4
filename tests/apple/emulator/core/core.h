// tests/apple/emulator/core/core.h -- what the parts of the emulator's core share
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "../emulator.h"
#include "../include/msl/module.h"

// The core is compiled without sanitizers even where modules have them: what it does to slots and stacks is no access
// of a kernel. So it also copies bytes by itself and does not call memcpy, which a sanitizer would see.

namespace emu {

struct Fiber;
struct Simd;

/// A thread of the group that runs, and how far it is.
struct Thread : msl::Thread {
  Fiber* fiber;  // where it waits; null: not begun, or done
  Simd* simdgroup;
  uint64_t barrier;  // the number of the last barrier that it came to, from 1 on
  // Passed, of those that order device memory [0] and threadgroup memory [1].
  uint32_t barriers[2], simd_barriers[2];
};

/// A simdgroup's rendezvous. Values are kept twice: a lane may be one operation ahead of those that still read.
struct Simd {
  uint32_t alive, arrived;  // lanes
  uint32_t turn;
  msl::Site site;
  alignas(64) unsigned char values[2][msl::kSimdWidth * 64];
  uint32_t active[2];
  char sync;
};

/// The launch that runs.
struct Launch {
  const emu_launch* given;
  const msl::KernelInfo* kernel;
  msl::Group group;
  std::vector<Thread> threads;
  std::vector<Simd> simds;
  uint32_t thread_count;
  uint32_t alive, at_barrier;
  msl::Site barrier_site;
  emu_order order;
  uint64_t random;
  std::vector<uint32_t> ready;     // lanes that may go on, per simdgroup
  uint32_t ready_simds;            // simdgroups that have such
  std::vector<uint32_t> priority;  // EMU_SIMDGROUP_FIRST: simdgroups in the order of their turn
  emu_counters counters;
  std::string failure;  // empty: none
};
extern Launch launch;
extern Thread* current;  // null: the host's turn

uint32_t random_below(uint32_t n);

// fibers.cpp
/// Runs the threads of launch.group until all are done or launch.failure is set.
void run_group(void (*body)(const msl::Thread&));
/// The current thread waits until another calls wake.
void wait_here();
void make_ready(const Thread& thread);
/// Ends the launch with a text; does not return where a thread is current.
void fail(const std::string& text, msl::Site site);
bool in_kernel();
bool in_stacks(const void* p);
void forget_stacks();
/// The launch is over: the host sees what its threads wrote.
void finish_launch();

// memory.cpp
/// The memory of the group's threadgroup arrays, all bits set at the start.
void begin_threadgroup_memory(const emu_launch& given);
void* threadgroup_block(const void* key, uint64_t bytes, msl::Site site);
uint64_t threadgroup_bytes();
bool in_threadgroup_memory(const void* p);
bool inside_threadgroup_block(const void* p, uint64_t bytes);
void threadgroup_range(const unsigned char** begin, const unsigned char** end);
/// "byte 12 of threadgroup memory 'tile'", or how far past a block it is.
std::string describe_threadgroup(const void* p);
void* const* threadgroup_bindings();
extern void* bound_buffers[EMU_MAX_BUFFERS];

// rendezvous.cpp
extern const msl::Runtime runtime;
/// Lets the lanes go on that wait for the simdgroup.
void release_simd(Simd& simd);

// check.cpp
void begin_check(const emu_launch& given, const msl::KernelInfo& kernel);
void begin_check_group();
void end_check();
void check_access(const void* data, uint64_t bytes, msl::Access access, msl::Site site, const void* code);

// image.cpp: the module whose kernel runs, as it lies in memory and in its file.
void begin_image(const msl::ModuleInfo* module, const std::string& path);
bool in_module(const void* p);
/// The core's own variables, which modules read.
bool in_own_memory(const void* p);
uint32_t code_offset(const void* code);
/// "file:line" of an offset in the module's code; empty where it is not known.
std::string line_of_offset(uint32_t offset);

// sanitizers.cpp: does nothing unless the process has the sanitizer's runtime.
bool with_tsan();
bool with_asan();
inline bool sanitized() {
  static const bool is = with_tsan() || with_asan();
  return is;
}
void* tsan_current();
void* tsan_create();
void tsan_destroy(void* fiber);
void tsan_switch(void* fiber);
void tsan_acquire(void* sync);
void tsan_release(void* sync);
void asan_leave(void** fake_stack, const void* bottom, uint64_t size);
void asan_arrive(void* fake_stack, const void** bottom, uint64_t* size);
void asan_poison(const void* p, uint64_t bytes);
void asan_unpoison(const void* p, uint64_t bytes);

/// Copies without a call that a sanitizer sees.
inline void quiet_copy(void* to, const void* from, uint64_t bytes) {
  auto* t = static_cast<volatile unsigned char*>(to);
  const auto* f = static_cast<const volatile unsigned char*>(from);
  for (uint64_t i = 0; i < bytes; ++i) t[i] = f[i];
}
inline void quiet_fill(void* to, uint64_t bytes) {
  auto* t = static_cast<volatile uint64_t*>(to);
  for (uint64_t i = 0; i < bytes / 8; ++i) t[i] = ~uint64_t(0);
  auto* rest = static_cast<volatile unsigned char*>(to);
  for (uint64_t i = bytes / 8 * 8; i < bytes; ++i) rest[i] = 0xff;
}

}  // namespace emu
