// csrc/plan/machine.h -- what the planner's estimates know of a processor, from the list of families
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

#include "base/cpu_features.h"

namespace nhwc {

/// A row of machines.inc, where the figures are explained.
struct Machine {
  char id[20];
  char name[44];
  double ghz;
  double products[4];   // multiply-adds of a whole vector per cycle, by Isa
  double pairs;         // dot products of a vector of bfloat16 pairs per cycle
  double matrix;        // float32 multiply-adds of the BLAS on a matrix unit per cycle; 0: there is none
  double l2, l3, dram;  // bytes per cycle that one core reads
};

/// Whether L3 is nearly as far for one core as memory: the mesh of Intel's servers, told by its bytes per cycle.
inline bool l3_is_slow(const Machine& m) { return m.l3 <= 12; }
/// What blocks may count on of an L3: all of it; of a slow one so little that less goes through it (8x28x28x256 3x3 of
/// stride 2, Winograd, on a Xeon: blocks of 16 MB 13.3 ms, of 8 MB 12.4, of 4 MB 10.0; without, as a direct sum, 11.5).
inline size_t l3_for_blocks(const Machine& m, size_t l2, size_t l3) {
  return l3_is_slow(m) ? std::min(l3, 8 * l2) : l3;
}

/// Each step of a tile begins with two loads of whole lines. On the Intel servers with that mesh they delay products,
/// as many as so many outputs more would have (Xeon at some 3.55 GHz, 7x7 in groups of 32: a step of 5 to 9 outputs
/// takes 2.4 cycles more than its products; of that 0.9 is left at the clock of the list, which is lower. Estimates of
/// 19 direct sums within 13 %).
inline double load_outputs(const Machine& m, Isa isa) { return l3_is_slow(m) && isa == Isa::avx512 ? 0.9 : 0; }

/// The family of a model; for one that is not listed the generic row of the strongest instruction set. pairs: whether
/// it has AVX512-BF16, which tells a virtual processor that goes by an older model.
const Machine& machine_of(std::string_view vendor, int family, uint32_t model, Isa strongest, bool pairs = false);
/// The row of that id ("zen5"), or nullptr: to plan for another processor.
const Machine* find_machine(std::string_view id);
/// This processor's.
const Machine& this_machine();

}  // namespace nhwc
