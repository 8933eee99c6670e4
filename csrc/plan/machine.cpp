// csrc/plan/machine.cpp -- finds a processor in the list of families
#include "plan/machine.h"

#include "nhwc/error.h"

namespace nhwc {
namespace {

constexpr Machine kMachines[] = {
#define NHWC_MACHINE(id, name, ghz, sse, avx2, avx512, l1, l2, l3, dram) \
  {#id, name, ghz, {sse, avx2, avx512}, l1, l2, l3, dram},
#define NHWC_MODELS(vendor, family, first, last, id)
#include "plan/machines.inc"
#undef NHWC_MACHINE
#undef NHWC_MODELS
};

struct Models {
  std::string_view vendor;
  int family, first, last;
  std::string_view id;
};

constexpr Models kModels[] = {
#define NHWC_MACHINE(id, name, ghz, sse, avx2, avx512, l1, l2, l3, dram)
#define NHWC_MODELS(vendor, family, first, last, id) {vendor, family, first, last, #id},
#include "plan/machines.inc"
#undef NHWC_MACHINE
#undef NHWC_MODELS
};

constexpr std::string_view kGeneric[] = {"generic_baseline", "generic_avx2", "generic_avx512"};

}  // namespace

const Machine* find_machine(std::string_view id) {
  for (const Machine& m : kMachines)
    if (id == m.id) return &m;
  return nullptr;
}

const Machine& machine_of(std::string_view vendor, int family, int model, Isa strongest) {
  const Machine* found = nullptr;
  for (const Models& m : kModels)
    if (m.vendor == vendor && m.family == family && m.first <= model && model <= m.last) found = find_machine(m.id);
  // A listed family whose row lacks the instructions (a model that was misread, a virtual processor) has no figures.
  if (!found || found->products[static_cast<int>(strongest)] == 0)
    found = find_machine(kGeneric[static_cast<int>(strongest)]);
  NHWC_CHECK(found, "machines.inc lacks a generic row");
  return *found;
}

const Machine& this_machine() {
  static const Machine& found = [&]() -> const Machine& {
    const CpuInfo& c = cpu_info();
    return machine_of(c.vendor, c.family, c.model_number, supported_isas().back());
  }();
  return found;
}

}  // namespace nhwc
