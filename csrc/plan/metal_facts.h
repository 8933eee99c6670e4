// csrc/plan/metal_facts.h -- what the planner knows of an Apple GPU, from the list of chips
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace nhwc {

/// A row of metal_chips.inc, where the figures are explained.
struct MetalChip {
  char name[20];     // as the driver says it, without "Apple "
  int family;        // Apple GPU family
  int cores;         // of the largest variant
  double gflops;     // of a core: float32 products and sums
  double half_rate;  // products of half types in the time of one of float32
  double bandwidth;  // GB/s of memory
};

struct MetalFacts {
  const MetalChip* chip = nullptr;
  int cores = 8;
  size_t threadgroup_memory = 32 << 10;  // bytes of a threadgroup
  size_t workspace_limit = size_t(64) << 20;
  std::string wanted;            // an option's name, or how it begins: taken wherever it is possible
  bool batch_invariant = false;  // what an image gives may not depend on the others
  friend bool operator==(const MetalFacts&, const MetalFacts&) = default;
};

/// The row of that name ("Apple M2 Max" or "M2 Max"); for one that is not listed the smallest chip of the family, and
/// the oldest where the family is not known either.
const MetalChip& metal_chip(std::string_view name, int family);
/// Facts of that chip; `cores` 0: as many as the row says.
MetalFacts metal_facts(const MetalChip& chip, int cores = 0);

}  // namespace nhwc
