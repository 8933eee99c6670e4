// csrc/plan/metal_facts.cpp -- what the planner knows of an Apple GPU, from the list of chips
#include "plan/metal_facts.h"

namespace nhwc {
namespace {

constexpr MetalChip kChips[] = {
#define NHWC_METAL_CHIP(name, family, cores, gflops, half_rate, bandwidth) \
  {name, family, cores, gflops, half_rate, bandwidth},
#include "plan/metal_chips.inc"
#undef NHWC_METAL_CHIP
};

}  // namespace

const MetalChip& metal_chip(std::string_view name, int family) {
  constexpr std::string_view kVendor = "Apple ";
  if (name.starts_with(kVendor)) name.remove_prefix(kVendor.size());
  for (const MetalChip& c : kChips)
    if (name == c.name) return c;
  const MetalChip* found = &kChips[0];  // the newest family that is not newer than this one
  for (const MetalChip& c : kChips)
    if (c.family <= family && c.family > found->family) found = &c;
  return *found;
}

MetalFacts metal_facts(const MetalChip& chip, int cores) {
  MetalFacts f;
  f.chip = &chip;
  f.cores = cores > 0 ? cores : chip.cores;
  return f;
}

}  // namespace nhwc
