// csrc/plan/machine.cpp -- finds a processor in the list of families
#include "plan/machine.h"

namespace nhwc {
namespace {

constexpr Machine kMachines[] = {
#define NHWC_MACHINE(id, name, ghz, baseline, avx2, avx512, neon, pairs, matrix, l2, l3, dram) \
  {#id, name, ghz, {baseline, avx2, avx512, neon}, pairs, matrix, l2, l3, dram},
#define NHWC_MODELS(vendor, family, first, last, id)
#include "plan/machines.inc"
#undef NHWC_MACHINE
#undef NHWC_MODELS
};

// Numbers instead of names and pointers: a pointer in a table costs the module three times its size.
enum Row : uint8_t {
#define NHWC_MACHINE(id, name, ghz, baseline, avx2, avx512, neon, pairs, matrix, l2, l3, dram) id,
#define NHWC_MODELS(vendor, family, first, last, id)
#include "plan/machines.inc"
#undef NHWC_MACHINE
#undef NHWC_MODELS
};

enum Vendor : uint8_t { amd, intel, arm, apple, other };

struct Models {
  Vendor vendor;
  uint8_t family;
  Row row;
  uint32_t first, last;
};

constexpr Models kModels[] = {
#define NHWC_MACHINE(id, name, ghz, baseline, avx2, avx512, neon, pairs, matrix, l2, l3, dram)
#define NHWC_MODELS(vendor, family, first, last, id) {vendor, family, id, first, last},
#include "plan/machines.inc"
#undef NHWC_MACHINE
#undef NHWC_MODELS
};

constexpr Row kGeneric[] = {generic_baseline, generic_avx2, generic_avx512, generic_neon};

}  // namespace

const Machine* find_machine(std::string_view id) {
  for (const Machine& m : kMachines)
    if (id == m.id) return &m;
  return nullptr;
}

const Machine& machine_of(std::string_view vendor, int family, uint32_t model, Isa strongest, bool pairs) {
  const Vendor by = vendor == "AuthenticAMD"   ? amd
                    : vendor == "GenuineIntel" ? intel
                    : vendor == "ARM"          ? arm
                    : vendor == "Apple"        ? apple
                                               : other;
  const int isa = static_cast<int>(strongest);
  for (const Models& m : kModels)
    // A listed family whose row lacks the instructions (a virtual processor that says so) has no figures.
    if (m.vendor == by && m.family == family && m.first <= model && model <= m.last &&
        kMachines[m.row].products[isa] > 0 && (!pairs || kMachines[m.row].pairs > 0))
      return kMachines[m.row];
  // Clouds give their Xeons the model number of an older part; no family before this one has the instructions.
  if (pairs && by == intel && family == 6) return kMachines[sapphire_rapids];
  return kMachines[kGeneric[isa]];
}

const Machine& this_machine() {
  static const Machine& found = [&]() -> const Machine& {
    const CpuInfo& c = cpu_info();
    return machine_of(c.vendor, c.family, c.model_number, supported_isas().back(), has_bf16_dot());
  }();
  return found;
}

}  // namespace nhwc
