// tests/apple/emulator/core/check.cpp -- --mode check: counts traffic, finds access out of bounds and races
#include "core.h"

namespace emu {

void begin_check(const emu_launch&, const msl::KernelInfo&) {}
void begin_check_group() {}
void end_check() {}
void check_access(const void*, uint64_t, msl::Access access, msl::Site, const void*) {
  launch.counters.atomics += access == msl::kAtomic;
}

}  // namespace emu
