// tests/apple/emulator/include/msl/support.cpp -- what compilers call behind a module's back; linked into each
#include "module.h"

// Rounds to nearest even. Some compilers call this, and libgcc has it only since version 13.
extern "C" __attribute__((weak, visibility("hidden"))) __bf16 __truncsfbf2(float x) {
  const unsigned bits = __builtin_bit_cast(unsigned, x);
  const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
  const unsigned rounded = nan ? bits | 0x400000u : bits + 0x7fffu + (bits >> 16 & 1u);
  return __builtin_bit_cast(__bf16, static_cast<unsigned short>(rounded >> 16));
}

#ifdef MSL_TRACED
// --mode check: the calls that ThreadSanitizer's instrumentation makes before each access.

namespace msl {
extern const Runtime* runtime;
}

extern "C" {
#define MSL_CALL __attribute__((visibility("hidden"))) void
#define MSL_CODE __builtin_return_address(0)
#define MSL_TRACE(name, bytes, access)                                                                           \
  MSL_CALL __tsan_##name##bytes(const void* p) { msl::runtime->traced_access(p, bytes, msl::access, MSL_CODE); } \
  MSL_CALL __tsan_unaligned_##name##bytes(const void* p) {                                                       \
    msl::runtime->traced_access(p, bytes, msl::access, MSL_CODE);                                                \
  }
#define MSL_TRACES(bytes)       \
  MSL_TRACE(read, bytes, kLoad) \
  MSL_TRACE(write, bytes, kStore)
MSL_TRACES(1)
MSL_TRACES(2)
MSL_TRACES(4)
MSL_TRACES(8)
MSL_TRACES(16)

MSL_CALL __tsan_init() {}
MSL_CALL __tsan_func_entry(void*) {}
MSL_CALL __tsan_func_exit() {}

__attribute__((visibility("hidden"))) void* __tsan_memcpy(void* to, const void* from, unsigned long bytes) {
  msl::runtime->traced_access(from, bytes, msl::kLoad, MSL_CODE);
  msl::runtime->traced_access(to, bytes, msl::kStore, MSL_CODE);
  return __builtin_memcpy(to, from, bytes);
}
__attribute__((visibility("hidden"))) void* __tsan_memmove(void* to, const void* from, unsigned long bytes) {
  msl::runtime->traced_access(from, bytes, msl::kLoad, MSL_CODE);
  msl::runtime->traced_access(to, bytes, msl::kStore, MSL_CODE);
  return __builtin_memmove(to, from, bytes);
}
__attribute__((visibility("hidden"))) void* __tsan_memset(void* to, int value, unsigned long bytes) {
  msl::runtime->traced_access(to, bytes, msl::kStore, MSL_CODE);
  return __builtin_memset(to, value, bytes);
}
}  // extern "C"
#endif
