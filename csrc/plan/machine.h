// csrc/plan/machine.h -- what the planner's estimates know of a processor, from the list of families
#pragma once

#include <string_view>

#include "base/cpu_features.h"

namespace nhwc {

/// A row of machines.inc, where the figures are explained.
struct Machine {
  char id[20];
  char name[44];
  double ghz;
  double products[3];   // multiply-adds of a whole vector per cycle, by Isa
  double pairs;         // dot products of bfloat16 pairs, of 512 bits, per cycle
  double l2, l3, dram;  // bytes per cycle that one core reads
};

/// The family of a model; for one that is not listed the generic row of the strongest instruction set. pairs: whether
/// it has AVX512-BF16, which tells a virtual processor that goes by an older model.
const Machine& machine_of(std::string_view vendor, int family, int model, Isa strongest, bool pairs = false);
/// The row of that id ("zen5"), or nullptr: to plan for another processor.
const Machine* find_machine(std::string_view id);
/// This processor's.
const Machine& this_machine();

}  // namespace nhwc
