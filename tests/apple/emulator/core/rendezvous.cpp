// tests/apple/emulator/core/rendezvous.cpp -- barriers and simdgroup operations: threads wait for each other
#include <bit>
#include <cstring>

#include "core.h"

namespace emu {
namespace {

char
    barrier_sync[2];  // TSan: what was before a barrier is before what comes after it; two, as threads may be one ahead

bool same(const msl::Site& a, const msl::Site& b) {
  return a.line == b.line && (a.what == b.what || !std::strcmp(a.what, b.what));
}

std::string text_of(const msl::Site& site) {
  return std::string(site.what) + " of " + (site.file ? site.file : "?") + ":" + std::to_string(site.line);
}

void barrier(uint32_t memory, msl::Site site) {
  Thread& thread = *current;
  if (launch.alive != launch.thread_count)
    fail("divergent threadgroup_barrier: " + std::to_string(launch.thread_count - launch.alive) +
             " threads of the group have returned before it",
         site);
  if (!launch.at_barrier)
    launch.barrier_site = site;
  else if (!same(launch.barrier_site, site))
    fail("divergent threadgroup_barrier: other threads wait at " + text_of(launch.barrier_site), site);
  char* sync = &barrier_sync[launch.counters.barriers & 1];
  if (memory) tsan_release(sync);
  for (int space = 0; space < 2; ++space) thread.barriers[space] += memory >> space & 1;
  thread.barrier = launch.counters.barriers + 1;
  if (++launch.at_barrier == launch.alive) {
    launch.at_barrier = 0;
    ++launch.counters.barriers;
    for (uint32_t s = 0; s < launch.ready.size(); ++s) {
      launch.ready[s] = launch.simds[s].alive;
      launch.ready_simds |= 1u << s;
    }
  }
  wait_here();
  if (memory) tsan_acquire(sync);
}

/// Notes that the current thread is at `site`; true where it is the last of its simdgroup.
bool arrive(Thread& thread, Simd& simd, msl::Site site) {
  if (!simd.arrived)
    simd.site = site;
  else if (!same(simd.site, site))
    fail("divergent simdgroup operation: other lanes wait at " + text_of(simd.site), site);
  simd.arrived |= 1u << thread.lane;
  return simd.arrived == simd.alive;
}

/// Waits for the rest of the simdgroup, which `last` has seen arrive.
void settle(Thread& thread, Simd& simd, bool last) {
  if (last) {
    release_simd(simd);
    if (launch.order == EMU_IN_ORDER) {
      // Goes on itself: a switch less, and an order less usual.
      launch.ready[thread.simd] &= ~(1u << thread.lane);
      if (!launch.ready[thread.simd]) launch.ready_simds &= ~(1u << thread.simd);
      return;
    }
  }
  wait_here();
}

void simd_barrier(uint32_t memory, msl::Site site) {
  Thread& thread = *current;
  Simd& simd = *thread.simdgroup;
  if (memory) tsan_release(&simd.sync);
  for (int space = 0; space < 2; ++space) thread.simd_barriers[space] += memory >> space & 1;
  settle(thread, simd, arrive(thread, simd, site));
  if (memory) tsan_acquire(&simd.sync);
}

const void* exchange(const void* value, uint32_t size, uint32_t* active, msl::Site site) {
  Thread& thread = *current;
  Simd& simd = *thread.simdgroup;
  const uint32_t turn = simd.turn & 1;
  unsigned char* slot = simd.values[turn] + thread.lane * size;
  switch (size) {
    case 2:
      *reinterpret_cast<volatile uint16_t*>(slot) = *static_cast<const volatile uint16_t*>(value);
      break;
    case 4:
      *reinterpret_cast<volatile uint32_t*>(slot) = *static_cast<const volatile uint32_t*>(value);
      break;
    default:
      quiet_copy(slot, value, size);
  }
  settle(thread, simd, arrive(thread, simd, site));
  *active = simd.active[turn];
  return simd.values[turn];
}

struct Product {
  float a[64], b[64], c[64], d[64];
};

#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) void multiply_wide(Product& p) {
  using Row = float __attribute__((vector_size(32), aligned(4)));
  const Row* b = reinterpret_cast<const Row*>(p.b);
  for (int i = 0; i < 8; ++i) {
    Row sum = reinterpret_cast<const Row*>(p.c)[i];
    for (int k = 0; k < 8; ++k) {
      const float a = p.a[i * 8 + k];
      sum = Row{a, a, a, a, a, a, a, a} * b[k] + sum;
    }
    reinterpret_cast<Row*>(p.d)[i] = sum;
  }
}
#endif

void multiply(Product& p) {
  for (int i = 0; i < 8; ++i)
    for (int j = 0; j < 8; ++j) {
      float sum = p.c[i * 8 + j];
      for (int k = 0; k < 8; ++k) sum = __builtin_fmaf(p.a[i * 8 + k], p.b[k * 8 + j], sum);
      p.d[i * 8 + j] = sum;
    }
}

void mma(const float a[2], const float b[2], const float c[2], float out[2], msl::Site site) {
  Thread& thread = *current;
  Simd& simd = *thread.simdgroup;
  Product& product = *reinterpret_cast<Product*>(simd.values[simd.turn & 1]);
  const uint32_t lane = thread.lane;
  const uint32_t row = (lane / 4 & 4) + lane / 2 % 4, column = (lane / 4 & 2) * 2 + lane % 2 * 2;
  const uint32_t at = row * 8 + column;
  for (uint32_t i = 0; i < 2; ++i) {
    product.a[at + i] = a[i];
    product.b[at + i] = b[i];
    product.c[at + i] = c[i];
  }
  const bool last = arrive(thread, simd, site);
  if (last) {
    if (simd.arrived != ~0u) fail("simdgroup_multiply_accumulate with fewer than 32 threads", site);
    ++launch.counters.mma;
#if defined(__x86_64__)
    static const bool wide = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    wide ? multiply_wide(product) : multiply(product);
#else
    multiply(product);
#endif
  }
  settle(thread, simd, last);
  out[0] = product.d[at];
  out[1] = product.d[at + 1];
}

void access(const void* data, uint64_t bytes, msl::Access kind, msl::Site site) {
  check_access(data, bytes, kind, site, nullptr);
}
void traced_access(const void* data, uint64_t bytes, msl::Access kind, const void* code) {
  check_access(data, bytes, kind, {}, code);
}
void fail_at(const char* text, msl::Site site) { fail(text, site); }

}  // namespace

void release_simd(Simd& simd) {
  const uint32_t number = uint32_t(&simd - launch.simds.data());
  simd.active[simd.turn & 1] = simd.arrived;
  ++simd.turn;
  ++launch.counters.simd_operations;
  launch.ready[number] |= simd.arrived;
  launch.ready_simds |= 1u << number;
  simd.arrived = 0;
}

const msl::Runtime runtime = {
    reinterpret_cast<msl::Thread* const*>(&current),
    bound_buffers,
    threadgroup_bindings(),
    barrier,
    simd_barrier,
    exchange,
    mma,
    threadgroup_block,
    access,
    traced_access,
    fail_at,
};

}  // namespace emu
