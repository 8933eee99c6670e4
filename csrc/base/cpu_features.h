// csrc/base/cpu_features.h -- what the processor can do, and which instruction set the kernels use
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace nhwc {

enum class Isa : uint8_t { baseline, avx2, avx512, neon };

/// "baseline", "avx2", "avx512", "neon".
const char* name(Isa isa);
/// Instruction sets that this build has and this processor can run, weakest first.
const std::vector<Isa>& supported_isas();
/// What NHWC_ISA and set_isa choose between, weakest first: the supported sets, and "avx512bf16" or "neonbf16", which
/// is the last of them with bf16_dot(); then "amx", the same with amx().
const std::vector<std::string>& isa_choices();
/// The choice in use: NHWC_ISA, else the last. ValueError for an unknown or unsupported name.
const std::string& isa_choice();
/// Its instruction set.
Isa current_isa();
/// Whether the kernels for dot products of bfloat16 pairs are in use.
bool bf16_dot();
/// Whether the processor has them, whatever is chosen.
bool has_bf16_dot();
/// Whether the kernels for the matrix unit (AMX) are in use.
bool amx();
/// Sets the choice for what follows (tests and benches); same errors.
void set_isa(const std::string& name);

struct CpuInfo {
  std::string vendor, model;
  int family = 0;                     // as cpuid counts them, extensions included; 0 on AArch64
  uint32_t model_number = 0;          // there the part number of MIDR_EL1, or Apple's hw.cpufamily
  std::vector<std::string> features;  // the ones that nhwc looks at
  size_t l1d, l2, l3;                 // bytes per core, per core, shared
};
const CpuInfo& cpu_info();

}  // namespace nhwc
