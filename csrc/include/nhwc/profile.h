// csrc/include/nhwc/profile.h -- what evaluations spend their time on
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace nhwc {

/// One step of an evaluation on the CPU, the encoding of one for a GPU (whose kernels run later), or an evaluation.
struct ProfileEvent {
  std::string name;    // of the operation, or of what was computed in one pass
  std::string detail;  // result, operands, and of convolutions the plan
  int64_t begin, end;  // nanoseconds of std::chrono::steady_clock
  int thread;          // numbered in the order in which threads first evaluated
};

/// Collects from now on, in the whole process. RuntimeError where it does already.
void start_profile();
/// Ends start_profile: the events, in the order in which they ended. None where nothing was started.
std::vector<ProfileEvent> stop_profile();

}  // namespace nhwc
