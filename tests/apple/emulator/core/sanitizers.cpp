// tests/apple/emulator/core/sanitizers.cpp -- tells ThreadSanitizer and AddressSanitizer, where they are, about fibers
#include "core.h"

// Weak: null unless the process was started with the sanitizer's runtime.
extern "C" {
#define EMU_WEAK __attribute__((weak))
EMU_WEAK void* __tsan_get_current_fiber();
EMU_WEAK void* __tsan_create_fiber(unsigned);
EMU_WEAK void __tsan_destroy_fiber(void*);
EMU_WEAK void __tsan_switch_to_fiber(void*, unsigned);
EMU_WEAK void __tsan_acquire(void*);
EMU_WEAK void __tsan_release(void*);
EMU_WEAK void __sanitizer_start_switch_fiber(void**, const void*, size_t);
EMU_WEAK void __sanitizer_finish_switch_fiber(void*, const void**, size_t*);
EMU_WEAK void __asan_poison_memory_region(void const volatile*, size_t);
EMU_WEAK void __asan_unpoison_memory_region(void const volatile*, size_t);
}

namespace emu {

bool with_tsan() { return __tsan_create_fiber != nullptr; }
bool with_asan() { return __asan_poison_memory_region != nullptr; }

void* tsan_current() { return with_tsan() ? __tsan_get_current_fiber() : nullptr; }
void* tsan_create() { return with_tsan() ? __tsan_create_fiber(0) : nullptr; }
void tsan_destroy(void* fiber) {
  if (fiber) __tsan_destroy_fiber(fiber);
}
void tsan_switch(void* fiber) {
  constexpr unsigned kNoSync = 1;  // a switch is no synchronisation: only barriers are
  if (fiber) __tsan_switch_to_fiber(fiber, kNoSync);
}
void tsan_acquire(void* sync) {
  if (with_tsan()) __tsan_acquire(sync);
}
void tsan_release(void* sync) {
  if (with_tsan()) __tsan_release(sync);
}
void asan_leave(void** fake_stack, const void* bottom, uint64_t size) {
  if (with_asan()) __sanitizer_start_switch_fiber(fake_stack, bottom, size);
}
void asan_arrive(void* fake_stack, const void** bottom, uint64_t* size) {
  if (!with_asan()) return;
  size_t bytes = 0;
  __sanitizer_finish_switch_fiber(fake_stack, bottom, &bytes);
  if (size) *size = bytes;
}
void asan_poison(const void* p, uint64_t bytes) {
  if (with_asan()) __asan_poison_memory_region(p, bytes);
}
void asan_unpoison(const void* p, uint64_t bytes) {
  if (with_asan()) __asan_unpoison_memory_region(p, bytes);
}

}  // namespace emu
