// tests/apple/emulator/include/msl/air.cpp -- what kernels that Apple's compiler built call; compiled into their
// modules
#include "module.h"

// bitcode.py defines the macros: the kernel's name, its table of arguments, and their number.

namespace msl {

const Runtime* runtime;

namespace {
struct Argument {
  Bind kind;
  u32 index;
  Builtin what;
  u32 elements, bytes;  // of a builtin: 3 numbers of 4 bytes
};
constexpr Argument kArguments[] = {AIR_ARGUMENTS};

const u32* builtin(const Thread& t, Builtin what, u32& scalar) {
  switch (what) {
    case Builtin::thread_position_in_grid:
      return t.position;
    case Builtin::thread_position_in_threadgroup:
      return t.local;
    case Builtin::threadgroup_position_in_grid:
      return t.group->position;
    case Builtin::threads_per_threadgroup:
      return t.group->threads;
    case Builtin::threads_per_grid:
      return t.group->grid;
    case Builtin::threadgroups_per_grid:
      return t.group->groups;
    case Builtin::thread_index_in_threadgroup:
      scalar = t.index;
      break;
    case Builtin::thread_index_in_simdgroup:
      scalar = t.lane;
      break;
    case Builtin::simdgroup_index_in_threadgroup:
      scalar = t.simd;
      break;
    case Builtin::simdgroups_per_threadgroup:
      scalar = t.group->simds;
      break;
    default:
      scalar = kSimdWidth;
  }
  return &scalar;
}
}  // namespace
}  // namespace msl

/// Loads each argument from where its slot points, and calls the kernel: written by bitcode.py in LLVM's language.
extern "C" void msl_air_call(void** slots);

namespace msl {
namespace {

void run(const Thread& thread) {
  constexpr int count = sizeof kArguments / sizeof kArguments[0];
  alignas(16) u32 values[count][4];
  const void* pointers[count];
  void* slots[count];
  for (int i = 0; i < count; ++i) {
    const Argument& a = kArguments[i];
    if (a.kind == Bind::builtin) {
      u32 scalar = 0;
      const u32* from = builtin(thread, a.what, scalar);
      for (u32 e = 0; e < a.elements; ++e) {
        if (a.bytes == 2)
          reinterpret_cast<u16*>(values[i])[e] = u16(from[e]);
        else
          values[i][e] = from[e];
      }
      slots[i] = values[i];
    } else {
      pointers[i] = a.kind == Bind::buffer ? runtime->buffers[a.index] : runtime->threadgroup_buffers[a.index];
      slots[i] = &pointers[i];
    }
  }
  msl_air_call(slots);
}

template <class F>
float fold(float x, const char* what, F f) {
  u32 active = 0;
  const auto* lanes = static_cast<const float*>(runtime->exchange(&x, sizeof x, &active, {what, "air", 0}));
  const u32 first = u32(__builtin_ctz(active));
  float r = lanes[first];
  for (u32 l = first + 1; l < kSimdWidth; ++l)
    if (active >> l & 1) r = f(r, lanes[l]);
  return r;
}

}  // namespace
}  // namespace msl

extern "C" {
#define AIR(name) __asm__(name) __attribute__((visibility("hidden")))
void air_barrier(int flags, int) AIR("air.wg.barrier");
void air_barrier(int flags, int) { msl::runtime->barrier(msl::u32(flags), {"threadgroup_barrier", "air", 0}); }
void air_simd_barrier(int flags, int) AIR("air.simdgroup.barrier");
void air_simd_barrier(int flags, int) { msl::runtime->simd_barrier(msl::u32(flags), {"simdgroup_barrier", "air", 0}); }
float air_simd_sum(float x) AIR("air.simd_sum.f32");
float air_simd_sum(float x) {
  return msl::fold(x, "simd_sum", [](float a, float b) { return a + b; });
}
float air_simd_max(float x) AIR("air.simd_max.f32");
float air_simd_max(float x) {
  return msl::fold(x, "simd_max", [](float a, float b) { return (a < b || a != a) ? b : a; });
}
float air_exp(float x) AIR("air.exp.f32");
float air_exp(float x) { return __builtin_expf(x); }
float air_fast_exp(float x) AIR("air.fast_exp.f32");
float air_fast_exp(float x) { return __builtin_expf(x); }
int air_min(int a, int b) AIR("air.min.s.i32");
int air_min(int a, int b) { return a < b ? a : b; }
__attribute__((visibility("hidden"))) void msl_air_mma(const float* a, const float* b, const float* c, float* out) {
  msl::runtime->mma(a, b, c, out, {"simdgroup_multiply_accumulate", "air", 0});
}
}

namespace msl {
namespace {
constexpr KernelInfo kKernel = {AIR_NAME, "air", 0, 0, nullptr, 0, run, ""};
constexpr ModuleInfo kModule = {kModuleVersion, &kKernel, 1, nullptr, 0, [](const Runtime* r) { runtime = r; },
                                [] {},          false};
}  // namespace
}  // namespace msl

__attribute__((visibility("default"))) extern "C" const msl::ModuleInfo* msl_module_v1() { return &msl::kModule; }
