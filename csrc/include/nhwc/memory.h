// csrc/include/nhwc/memory.h -- what a host program controls: memory limits, threads, batch invariance, interruption
#pragma once

#include <cstddef>

namespace nhwc {

size_t get_active_memory();  // bytes in arrays and scratch now
size_t get_peak_memory();
void reset_peak_memory();
size_t get_cache_memory();  // bytes kept for reuse: freed blocks and packed weights
void clear_cache();
size_t set_memory_limit(size_t bytes);  // returns the one before
size_t get_memory_limit();
size_t set_cache_limit(size_t bytes);  // returns the one before
/// Scratch that one kernel may use at most; the planner blocks what would exceed it. Default 64 MiB.
size_t set_workspace_limit(size_t bytes);
size_t get_workspace_limit();

/// Threads that kernels may use, the caller included; NHWC_NUM_THREADS, else the process's CPU affinity.
int num_threads();
/// Sets it; n < 1 raises ValueError.
void set_num_threads(int n);

/// Whether an image's convolution and input gradient have the same bits in a batch of any size. Costs speed where the
/// best algorithm depends on the batch. NHWC_BATCH_INVARIANT=1 sets it; default false.
bool batch_invariant();
void set_batch_invariant(bool on);

/// check() is called about every 50 ms on a thread that evaluates; true interrupts it (eval throws Interrupted).
void set_interrupt_check(bool (*check)());

}  // namespace nhwc
