// csrc/base/cpu_features.h -- what the processor can do, and which instruction set the kernels use
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace nhwc {

enum class Isa : uint8_t { baseline, avx2, avx512 };

/// "baseline", "avx2", "avx512".
const char* name(Isa isa);
/// Instruction sets that this build has and this processor can run, weakest first.
const std::vector<Isa>& supported_isas();
/// The one in use: NHWC_ISA, else the strongest supported. ValueError for an unknown or unsupported name.
Isa current_isa();
/// Sets it for what follows (tests and benches); same errors.
void set_isa(const std::string& name);

struct CpuInfo {
  std::string vendor, model;
  int family = 0, model_number = 0;   // as cpuid counts them, extensions included; 0 where there is no cpuid
  std::vector<std::string> features;  // the ones that nhwc looks at
  size_t l1d, l2, l3;                 // bytes per core, per core, shared
};
const CpuInfo& cpu_info();

}  // namespace nhwc
