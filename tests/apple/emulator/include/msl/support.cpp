// tests/apple/emulator/include/msl/support.cpp -- what compilers call behind a module's back; linked into each
#include "module.h"

using bfloat = __bf16;

// Rounds to nearest even. Some compilers call this, and libgcc has it only since version 13.
extern "C" __attribute__((weak, visibility("hidden"))) bfloat __truncsfbf2(float x) {
  const unsigned bits = __builtin_bit_cast(unsigned, x);
  const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
  const unsigned rounded = nan ? bits | 0x400000u : bits + 0x7fffu + (bits >> 16 & 1u);
  return __builtin_bit_cast(bfloat, static_cast<unsigned short>(rounded >> 16));
}
