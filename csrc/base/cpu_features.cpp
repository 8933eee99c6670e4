// csrc/base/cpu_features.cpp -- what the processor can do, and which instruction set the kernels use
#include "base/cpu_features.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#if defined(__linux__)
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "base/env.h"
#include "nhwc/error.h"

namespace nhwc {
namespace {

constexpr Isa kAll[] = {Isa::baseline, Isa::avx2, Isa::avx512, Isa::neon};

/// A minimal build may leave out instruction sets (NHWC_ISAS in CMakeLists.txt).
bool is_built([[maybe_unused]] Isa isa) {
#if defined(NHWC_NO_AVX2)
  if (isa == Isa::avx2) return false;
#endif
#if defined(NHWC_NO_AVX512)
  if (isa == Isa::avx512) return false;
#endif
#if defined(NHWC_NO_NEON)
  if (isa == Isa::neon) return false;
#endif
  return true;
}

bool can_run(Isa isa) {
  if (!is_built(isa)) return false;
#if defined(__x86_64__)
  // No CPUID bit of its own in the builtin for F16C; every AVX2 processor has it.
  if (isa == Isa::avx2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (isa == Isa::avx512)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma");
#elif defined(__aarch64__)
  if (isa == Isa::neon) return true;
#endif
  return isa == Isa::baseline;
}

#if defined(__x86_64__) && defined(__linux__)
// ARCH_GET_XCOMP_SUPP and ARCH_REQ_XCOMP_PERM of Linux 5.16, and the state that they are about.
constexpr int kKnownStates = 0x1021, kAskPermission = 0x1023, kTileData = 18;
#endif

/// Whether this process may run the set of that name; asks the system where it has to. From then on signals need more
/// stack, so nobody is asked before.
bool may_use([[maybe_unused]] const std::string& choice) {
#if defined(__x86_64__) && defined(__linux__)
  if (choice == "amx") return syscall(SYS_arch_prctl, kAskPermission, kTileData) == 0;
#endif
  return true;
}

#if defined(__x86_64__) && !defined(NHWC_NO_AVX512BF16) && !defined(NHWC_NO_AMX)
/// Whether the processor has tiles of bfloat16, and the system knows of them.
bool has_amx() {
#if defined(__linux__)
  unsigned a = 0, b = 0, c = 0, d = 0;
  uint64_t known = 0;
  constexpr unsigned kTiles = 1u << 24 | 1u << 22;  // AMX-TILE, AMX-BF16
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & kTiles) != kTiles) return false;
  return syscall(SYS_arch_prctl, kKnownStates, &known) == 0 && (known >> kTileData & 1) != 0;
#else
  return false;
#endif
}
#endif

#if defined(__aarch64__)
/// An extension beyond Advanced SIMD: its bit of HWCAP2 on Linux, and what macOS calls it.
struct ArmFeature {
  const char* name;
  unsigned long bit;
  const char* sysctl;
};
constexpr ArmFeature kBf16 = {"bf16", 1ul << 14, "hw.optional.arm.FEAT_BF16"};

bool arm_feature(const ArmFeature& f) {
#if defined(__linux__)
  return getauxval(AT_HWCAP2) & f.bit;
#elif defined(__APPLE__)
  int value = 0;
  size_t bytes = sizeof value;
  return sysctlbyname(f.sysctl, &value, &bytes, nullptr, 0) == 0 && value != 0;
#else
  return (void)f, false;
#endif
}
#endif

size_t parse(const std::string& text) {
  const std::vector<std::string>& choices = isa_choices();
  std::string valid;
  for (size_t i = 0; i < choices.size(); ++i) {
    if (text == choices[i]) {
      if (!may_use(text)) raise<ValueError>("[NHWC_ISA] the system does not let this process use \"", text, "\"");
      return i;
    }
    valid += (i ? ", " : "") + choices[i];
  }
  raise<ValueError>("[NHWC_ISA] got \"", text, "\", but this build on this processor can run only: ", valid);
}

size_t initial_choice() {
  const std::string forced = env("NHWC_ISA");
  if (!forced.empty()) return parse(forced);
  const size_t last = isa_choices().size() - 1;
  return may_use(isa_choices()[last]) ? last : last - 1;
}

/// An index into isa_choices().
std::atomic<size_t>& choice_in_use() {
  static std::atomic<size_t> choice{initial_choice()};
  return choice;
}

/// The first lines of a file of the system, without the end of the last; "" where there are none. No stream, with which
/// a static program would carry everything about locales.
std::string first_lines(const std::string& path, int count) {
  std::string text;
  std::FILE* file = std::fopen(path.c_str(), "r");
  if (!file) return text;
  for (int c; count > 0 && (c = std::fgetc(file)) != EOF;) {
    text += static_cast<char>(c);
    count -= c == '\n';
  }
  std::fclose(file);
  if (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

#if defined(__linux__)
/// The size of cpu0's data or unified cache of a level, 0 where the kernel does not tell. sysconf may count the L3 of
/// the whole socket, of which a core reaches a part.
size_t sysfs_cache_bytes(int level) {
  for (int i = 0; i < 8; ++i) {
    const std::string dir = "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(i) + "/";
    const std::string at = first_lines(dir + "level", 1), type = first_lines(dir + "type", 1);
    if (at.empty() || type.empty()) return 0;
    if (at != std::to_string(level) || type == "Instruction") continue;
    const std::string size = first_lines(dir + "size", 1);
    if (size.empty()) continue;
    const size_t unit = size.back() == 'K' ? 1 << 10 : size.back() == 'M' ? 1 << 20 : 1;
    return std::strtoull(size.c_str(), nullptr, 10) * unit;
  }
  return 0;
}
#endif

size_t cache_bytes(int level, size_t otherwise) {
#if defined(__linux__)
  if (const size_t bytes = sysfs_cache_bytes(level)) return bytes;
#if defined(_SC_LEVEL1_DCACHE_SIZE)
  constexpr int kNames[] = {_SC_LEVEL1_DCACHE_SIZE, _SC_LEVEL2_CACHE_SIZE, _SC_LEVEL3_CACHE_SIZE};
  const long bytes = sysconf(kNames[level - 1]);
  if (bytes > 0) return static_cast<size_t>(bytes);
#endif
#endif
  (void)level;
  return otherwise;
}

#if defined(__APPLE__)
/// A number that the system tells by name, or `otherwise`.
size_t sysctl_number(const char* name, size_t otherwise) {
  uint64_t value = 0;
  size_t bytes = sizeof value;  // less than it for the names that are 32 bits wide; both are little-endian
  return sysctlbyname(name, &value, &bytes, nullptr, 0) == 0 && value > 0 ? static_cast<size_t>(value) : otherwise;
}

std::string sysctl_text(const char* name) {
  char text[128] = {};
  size_t bytes = sizeof text - 1;
  return sysctlbyname(name, text, &bytes, nullptr, 0) == 0 ? text : "unknown";
}

/// Of the performance cores, which the planner is about. A cluster of them shares its L2, and there is no L3 of which
/// the system tells the size: each core has its part of the L2, and all of it counts as what is shared.
void read_sysctl(CpuInfo& info) {
  info.vendor = "Apple";
  info.model = sysctl_text("machdep.cpu.brand_string");
  info.model_number = static_cast<uint32_t>(sysctl_number("hw.cpufamily", 0));
  info.l1d = sysctl_number("hw.perflevel0.l1dcachesize", sysctl_number("hw.l1dcachesize", info.l1d));
  info.l3 = sysctl_number("hw.perflevel0.l2cachesize", sysctl_number("hw.l2cachesize", info.l3));
  info.l2 = info.l3 / sysctl_number("hw.perflevel0.cpusperl2", 4);
}
#endif

/// Of the last processor that the lines reach: where cores differ, Linux mostly numbers the larger ones last.
std::string cpuinfo_field(const std::string& key) {
  const std::string text = "\n" + first_lines("/proc/cpuinfo", 100);
  const size_t at = text.rfind("\n" + key);
  const size_t colon = at == std::string::npos ? at : text.find(": ", at + 1);
  if (colon == std::string::npos || colon > text.find('\n', at + 1)) return "unknown";
  return text.substr(colon + 2, text.find('\n', colon) - colon - 2);
}

#if defined(__x86_64__)
void read_cpuid(CpuInfo& info) {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid(0, &a, &b, &c, &d)) return;
  info.vendor.clear();
  for (unsigned word : {b, d, c})
    for (int shift = 0; shift < 32; shift += 8) info.vendor += static_cast<char>(word >> shift & 0xff);
  if (!__get_cpuid(1, &a, &b, &c, &d)) return;
  const int family = a >> 8 & 0xf, model = a >> 4 & 0xf;
  info.family = family == 0xf ? family + static_cast<int>(a >> 20 & 0xff) : family;
  info.model_number = static_cast<uint32_t>(model) + (family == 0xf || family == 6 ? a >> 12 & 0xf0 : 0);
}
#endif

#if defined(__aarch64__) && defined(__linux__)
void read_midr(CpuInfo& info) {
  const std::string implementer = cpuinfo_field("CPU implementer"), part = cpuinfo_field("CPU part");
  info.vendor = implementer == "0x41" ? "ARM" : implementer == "0x61" ? "Apple" : implementer;
  info.model = info.vendor + " part " + part;
  info.model_number = static_cast<uint32_t>(std::strtoul(part.c_str(), nullptr, 16));
}
#endif

CpuInfo probe() {
  CpuInfo info;
  info.vendor = cpuinfo_field("vendor_id");
  info.model = cpuinfo_field("model name");
#if defined(__aarch64__) && defined(__linux__)
  read_midr(info);
#endif
#if defined(__x86_64__)
  read_cpuid(info);
#define NHWC_FEATURE(f) \
  if (__builtin_cpu_supports(f)) info.features.push_back(f);
  NHWC_FEATURE("avx2")
  NHWC_FEATURE("fma")
  NHWC_FEATURE("avx512f")
  NHWC_FEATURE("avx512bw")
  NHWC_FEATURE("avx512dq")
  NHWC_FEATURE("avx512vl")
  NHWC_FEATURE("avx512bf16")
#undef NHWC_FEATURE
#elif defined(__aarch64__)
  info.features.push_back("neon");
  if (arm_feature(kBf16)) info.features.push_back(kBf16.name);
#endif
  info.l1d = cache_bytes(1, size_t(32) << 10);
  info.l2 = cache_bytes(2, size_t(1) << 20);
  info.l3 = cache_bytes(3, size_t(16) << 20);
#if defined(__APPLE__)
  read_sysctl(info);
#endif
  return info;
}

}  // namespace

const char* name(Isa isa) {
  constexpr const char* kNames[] = {"baseline", "avx2", "avx512", "neon"};
  return kNames[static_cast<int>(isa)];
}

// Lists are never destroyed: an evaluation may outlive static destructors.
const std::vector<Isa>& supported_isas() {
  static const auto& list = *new std::vector<Isa>([] {
    std::vector<Isa> v;
    for (Isa isa : kAll)
      if (can_run(isa)) v.push_back(isa);
    return v;
  }());
  return list;
}

const std::vector<std::string>& isa_choices() {
  static const auto& list = *new std::vector<std::string>([] {
    std::vector<std::string> v;
    for (Isa isa : supported_isas()) v.push_back(name(isa));
#if defined(__x86_64__) && !defined(NHWC_NO_AVX512BF16)
    if (can_run(Isa::avx512) && __builtin_cpu_supports("avx512bf16")) v.push_back("avx512bf16");
#if !defined(NHWC_NO_AMX)
    if (v.back() == "avx512bf16" && has_amx()) v.push_back("amx");
#endif
#elif defined(__aarch64__) && !defined(NHWC_NO_NEONBF16)
    if (can_run(Isa::neon) && arm_feature(kBf16)) v.push_back("neonbf16");
#endif
    return v;
  }());
  return list;
}

const std::string& isa_choice() { return isa_choices()[choice_in_use().load(std::memory_order_relaxed)]; }

Isa current_isa() {
  const size_t last = supported_isas().size() - 1;
  return supported_isas()[std::min(choice_in_use().load(std::memory_order_relaxed), last)];
}

bool has_bf16_dot() { return isa_choices().size() > supported_isas().size(); }

bool bf16_dot() { return choice_in_use().load(std::memory_order_relaxed) >= supported_isas().size(); }

bool amx() { return choice_in_use().load(std::memory_order_relaxed) > supported_isas().size(); }

void set_isa(const std::string& text) { choice_in_use().store(parse(text), std::memory_order_relaxed); }

const CpuInfo& cpu_info() {
  static const CpuInfo& info = *new CpuInfo(probe());
  return info;
}

}  // namespace nhwc
