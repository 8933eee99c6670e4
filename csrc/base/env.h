// csrc/base/env.h -- the environment variables nhwc reads, all of them
#pragma once

#include <string>
#include <vector>

namespace nhwc {

struct EnvVar {
  const char* name;
  const char* meaning;
};
/// Every variable, for `python -m nhwc info`.
const std::vector<EnvVar>& env_vars();
/// The value, or "" where it is unset; the name must be one of env_vars().
std::string env(const char* name);
/// The value as an integer, or `otherwise` where it is unset; ValueError where it is no integer or less than `least`.
long env_int(const char* name, long otherwise, long least);

}  // namespace nhwc
