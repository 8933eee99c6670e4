// csrc/base/env.cpp -- the environment variables nhwc reads, all of them
#include "base/env.h"

#include <cstdlib>
#include <cstring>

#include "nhwc/error.h"

namespace nhwc {

const std::vector<EnvVar>& env_vars() {
  static const auto& vars = *new std::vector<EnvVar>{
      // never destroyed: an evaluation may outlive static destructors
      {"NHWC_ISA",
       "instruction set of the CPU kernels: baseline, avx2, avx512 or avx512bf16, on arm64 baseline, neon or neonbf16 "
       "(default: the last this CPU runs)"},
      {"NHWC_NUM_THREADS", "threads that kernels use (default: the CPUs this process may run on)"},
      {"NHWC_WORKSPACE_MB", "scratch that one evaluation may use, in MiB (default: 64)"},
      {"NHWC_CONV_ALGORITHM",
       "convolution algorithm to take wherever it can be: direct, winograd6, ... (default: the planner's choice)"},
      {"NHWC_METAL_ALGORITHM",
       "convolution algorithm of the GPU to take wherever it can be: igemm, igemm_64x64x16, direct, ... (default: the "
       "planner's choice)"},
      {"NHWC_TUNE_CACHE",
       "file of nhwc.tune's measurements, read at the first convolution (default: none is read before tune is called)"},
      {"NHWC_BATCH_INVARIANT", "1: an image's convolution has the same bits in a batch of any size (default: 0)"},
      {"NHWC_DISABLE_COMPILE", "1: compile() returns the function as it is"},
      {"NHWC_DISABLE_FUSION",
       "1: every elementwise operation makes a pass of its own; for tests, the values are the same"},
      {"NHWC_GPU_RUNTIME", "shared library that drives a GPU, where none is built in; tests load an emulated one"},
      {"NHWC_DEBUG", "1: prints the plan of every convolution on stderr when it is made"},
  };
  return vars;
}

std::string env(const char* name) {
  for (const EnvVar& v : env_vars()) {
    if (std::strcmp(v.name, name) != 0) continue;
    const char* value = std::getenv(name);
    return value ? value : "";
  }
  NHWC_CHECK(false, "environment variable that env.cpp does not declare");
}

long env_int(const char* name, long otherwise, long least) {
  const std::string text = env(name);
  if (text.empty()) return otherwise;
  char* end = nullptr;
  const long value = std::strtol(text.c_str(), &end, 10);
  if (*end != '\0' || value < least)
    raise<ValueError>("environment variable ", name, "=", text, " must be an integer of at least ", least);
  return value;
}

}  // namespace nhwc
