// tests/apple/emulator/core/fibers.cpp -- threads of a group as fibers, and the order in which they get their turn
#include <sys/mman.h>

#include <bit>
#include <cstdio>
#include <memory>

#include "core.h"

// A fiber runs one thread after another for as long as none has to wait; a thread that waits keeps the fiber, and the
// next one begins on another. So kernels without a rendezvous never switch stacks.

// Saves the registers that a call keeps, and the stack pointer in *from; goes on where `to` was saved.
#if defined(__x86_64__)
asm(R"(
.text
.globl emu_switch_stack
.type emu_switch_stack,@function
emu_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size emu_switch_stack, .-emu_switch_stack
)");
constexpr int kSavedWords = 6;
#elif defined(__aarch64__)
asm(R"(
.text
.globl emu_switch_stack
.type emu_switch_stack,%function
emu_switch_stack:
  sub sp, sp, #160
  stp x19, x20, [sp]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
.size emu_switch_stack, .-emu_switch_stack
)");
#else
#error "the emulator switches stacks on x86-64 and arm64"
#endif
extern "C" void emu_switch_stack(void** from, void* to);

namespace emu {

struct Fiber {
  void* stack_pointer = nullptr;
  unsigned char* stack = nullptr;
  uint64_t bytes = 0;
  void* fake_stack = nullptr;  // ASan's
  void* tsan = nullptr;
};

Launch launch;
Thread* current;

namespace {

constexpr uint64_t kGuard = 4096;

Fiber host;
const void* host_bottom;  // for ASan
uint64_t host_bytes;
Fiber* running = &host;
Fiber* previous = &host;
std::vector<std::unique_ptr<Fiber>> fibers;
std::vector<Fiber*> idle;
void (*thread_body)(const msl::Thread&);
char finished_sync;  // TSan: what all threads did is seen by the host

unsigned char* stacks;  // one range of addresses for all of them
uint64_t stacks_bytes;

uint64_t stack_bytes() { return with_asan() ? 512 << 10 : with_tsan() ? 128 << 10 : 256 << 10; }

void map_stack(Fiber& fiber) {
  fiber.bytes = stack_bytes() + kGuard;
  if (!stacks) {
    stacks_bytes = fiber.bytes * (EMU_MAX_THREADS + 1);
    stacks = static_cast<unsigned char*>(
        mmap(nullptr, stacks_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  }
  if (!fiber.stack) fiber.stack = stacks + fiber.bytes * (fibers.size() - 1);
  mmap(fiber.stack + kGuard, fiber.bytes - kGuard, PROT_READ | PROT_WRITE,
       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

/// After a switch. ASan then says where the stack is that was left, of which only the host's is not known.
void arrive(void* fake_stack) {
  const bool from_host = previous == &host;
  asan_arrive(fake_stack, from_host ? &host_bottom : nullptr, from_host ? &host_bytes : nullptr);
}

void go_to(Fiber* next, bool leave_for_good) {
  Fiber* from = running;
  previous = from;
  running = next;
  if (!sanitized()) return emu_switch_stack(&from->stack_pointer, next->stack_pointer);
  tsan_switch(next->tsan);
  const bool to_host = next == &host;
  asan_leave(leave_for_good ? nullptr : &from->fake_stack, to_host ? host_bottom : next->stack,
             to_host ? host_bytes : next->bytes);
  emu_switch_stack(&from->stack_pointer, next->stack_pointer);
  arrive(from->fake_stack);
}

void fiber_main();

/// Sets a fiber's stack up so that a switch to it calls fiber_main.
void prepare(Fiber& fiber, uint32_t number) {
  // Stacks that begin at the same place of a page would share few lines of the cache.
  const uint64_t colour = (number % 61) * 192;
  auto* top = reinterpret_cast<void**>(fiber.stack + fiber.bytes - 256 - (colour & ~uint64_t(63)));
#if defined(__x86_64__)
  void** p = top - 8;
  for (int i = 0; i < kSavedWords; ++i) p[i] = nullptr;
  p[kSavedWords] = reinterpret_cast<void*>(fiber_main);
  p[kSavedWords + 1] = nullptr;
  fiber.stack_pointer = p;
#else
  void** p = top - 20;
  for (int i = 0; i < 20; ++i) p[i] = nullptr;
  p[11] = reinterpret_cast<void*>(fiber_main);  // x30
  fiber.stack_pointer = p;
#endif
}

Fiber* take_fiber() {
  if (idle.empty()) {
    fibers.push_back(std::make_unique<Fiber>());
    map_stack(*fibers.back());
    idle.push_back(fibers.back().get());
  }
  Fiber* fiber = idle.back();
  idle.pop_back();
  prepare(*fiber, uint32_t(fibers.size() - idle.size()));
  return fiber;
}

uint32_t nth_bit(uint32_t mask, uint32_t n) {
  for (; n; --n) mask &= mask - 1;
  return uint32_t(std::countr_zero(mask));
}

/// The thread whose turn it is; null where none may go on.
Thread* choose() {
  if (!launch.ready_simds) return nullptr;
  uint32_t simd = 0, lane = 0;
  switch (launch.order) {
    case EMU_REVERSED:
      simd = 31 - uint32_t(std::countl_zero(launch.ready_simds));
      lane = 31 - uint32_t(std::countl_zero(launch.ready[simd]));
      break;
    case EMU_RANDOM:
      simd = nth_bit(launch.ready_simds, random_below(uint32_t(std::popcount(launch.ready_simds))));
      lane = nth_bit(launch.ready[simd], random_below(uint32_t(std::popcount(launch.ready[simd]))));
      break;
    case EMU_SIMDGROUP_FIRST:
      for (uint32_t s : launch.priority)
        if (launch.ready_simds >> s & 1) {
          simd = s;
          break;
        }
      lane = nth_bit(launch.ready[simd], random_below(uint32_t(std::popcount(launch.ready[simd]))));
      break;
    default:
      simd = uint32_t(std::countr_zero(launch.ready_simds));
      lane = uint32_t(std::countr_zero(launch.ready[simd]));
  }
  launch.ready[simd] &= ~(1u << lane);
  if (!launch.ready[simd]) launch.ready_simds &= ~(1u << simd);
  return &launch.threads[simd * msl::kSimdWidth + lane];
}

std::string where(const Thread& thread) {
  return "thread (" + std::to_string(thread.local[0]) + ", " + std::to_string(thread.local[1]) + ", " +
         std::to_string(thread.local[2]) + ")";
}

/// Where a thread waits; null where it does not.
const msl::Site* waits_at(const Thread& thread) {
  if (thread.simdgroup->arrived >> thread.lane & 1) return &thread.simdgroup->site;
  return launch.at_barrier && thread.barrier == launch.counters.barriers + 1 ? &launch.barrier_site : nullptr;
}

/// All threads that are left wait for something that will not come.
void report_deadlock() {
  for (const Thread& thread : launch.threads) {
    const msl::Site* site = waits_at(thread);
    if (!site) continue;
    const uint32_t done = launch.thread_count - launch.alive;
    std::string text = where(thread) + " waits at " + site->what + ", which other threads do not reach";
    if (done) text += "; " + std::to_string(done) + " threads have returned";
    for (const Thread& other : launch.threads)
      if (const msl::Site* second = waits_at(other);
          second && (second->line != site->line || second->what != site->what)) {
        text += "; " + where(other) + " waits at " + second->what + " of line " + std::to_string(second->line);
        break;
      }
    current = nullptr;
    return fail(text, *site);
  }
}

/// What a thread that ends leaves to its simdgroup and its group; see rendezvous.cpp.
void leave(Thread& thread);

/// Gives the turn on: to a thread that waits somewhere, or to a new one on a fresh fiber, or to the host.
void switch_to(Thread* next, bool leave_for_good) {
  current = next;
  if (!next) return go_to(&host, leave_for_good);
  Fiber* fiber = next->fiber;
  if (!fiber) {
    fiber = take_fiber();
    next->fiber = fiber;
  }
  go_to(fiber, leave_for_good);
}

void fiber_main() {
  arrive(nullptr);
  for (;;) {
    Thread& thread = *current;
    thread.fiber = running;
    thread_body(thread);
    if (sanitized()) tsan_release(&finished_sync);
    leave(thread);
    thread.fiber = nullptr;
    Thread* next = launch.failure.empty() ? choose() : nullptr;
    if (next && !next->fiber && !with_tsan()) {
      current = next;
      continue;
    }
    if (!with_tsan()) idle.push_back(running);
    switch_to(next, true);
  }
}

void leave(Thread& thread) {
  --launch.alive;
  Simd& simd = *thread.simdgroup;
  simd.alive &= ~(1u << thread.lane);
  if (launch.at_barrier) {
    current = nullptr;
    fail(where(thread) + " returned while others wait at this threadgroup_barrier", launch.barrier_site);
  } else if (simd.arrived && simd.arrived == simd.alive) {
    // The rest of the simdgroup waited for this lane only: it goes on without it.
    release_simd(simd);
  }
}

}  // namespace

uint32_t random_below(uint32_t n) {
  launch.random ^= launch.random << 13;
  launch.random ^= launch.random >> 7;
  launch.random ^= launch.random << 17;
  return uint32_t((launch.random >> 32) * n >> 32);
}

void make_ready(const Thread& thread) {
  launch.ready[thread.simd] |= 1u << thread.lane;
  launch.ready_simds |= 1u << thread.simd;
}

void wait_here() {
  Thread* next = choose();
  if (next && next->fiber == running)
    current = next;
  else
    switch_to(next, false);
}

void forget_stacks() {
  // Abandoned frames leave their poison behind.
  idle.clear();
  for (auto& fiber : fibers) {
    asan_unpoison(fiber->stack + kGuard, fiber->bytes - kGuard);
    idle.push_back(fiber.get());
  }
}

bool in_kernel() { return running != &host; }
bool in_stacks(const void* p) {
  const auto* q = static_cast<const unsigned char*>(p);
  return q >= stacks && q < stacks + stacks_bytes;
}

void fail(const std::string& text, msl::Site site) {
  if (launch.failure.empty()) {
    launch.failure = site.file ? std::string(site.file) + ":" + std::to_string(site.line) + ": " + text : text;
  }
  if (!current) return;
  current = nullptr;
  go_to(&host, true);
}

void finish_launch() { tsan_acquire(&finished_sync); }

void run_group(void (*body)(const msl::Thread&)) {
  thread_body = body;
  running = &host;
  host.tsan = tsan_current();
  if (with_tsan()) {
    // Created here, by the host, so that groups are not ordered among each other; on stacks that TSan takes for new.
    for (uint32_t i = 0; i < launch.thread_count; ++i) {
      Fiber* fiber = take_fiber();
      map_stack(*fiber);
      prepare(*fiber, i);
      fiber->tsan = tsan_create();
      launch.threads[i].fiber = fiber;
    }
  }
  switch_to(choose(), false);
  if (with_tsan()) {
    for (auto& fiber : fibers) {
      tsan_destroy(fiber->tsan);
      fiber->tsan = nullptr;
    }
    forget_stacks();
  }
  if (launch.alive && launch.failure.empty()) report_deadlock();
  if (!launch.failure.empty()) forget_stacks();
}

}  // namespace emu
