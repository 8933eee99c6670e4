// csrc/kernels/update.h -- one step of an optimizer over a run of elements of a parameter
#pragma once

#include "base/update_rules.h"

namespace nhwc {

struct UpdateNumbers {
  float scalars[kMaxUpdateScalars];
  float constants[kMaxUpdateConstants];
};
/// Elements of one parameter. An output may be the input of the same kind, but must not overlap any otherwise.
struct UpdateRun {
  const float *gradient, *parameter, *state[kMaxUpdateStates];
  float *new_parameter, *new_state[kMaxUpdateStates];
};

void update_run(UpdateRule rule, const UpdateNumbers& numbers, const UpdateRun& run, int64_t n);

}  // namespace nhwc
