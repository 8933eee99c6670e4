// csrc/eval/profile.h -- what the scheduler tells nhwc/profile.h
#pragma once

#include "eval/scheduler.h"
#include "nhwc/profile.h"

namespace nhwc {

/// Under the eval lock, as all of these.
bool profiling();
int64_t profile_clock();
void profile_step(const Step& step, const ChainPool& chains, int64_t begin, int64_t end);
void profile_evaluation(size_t steps, int64_t begin);

}  // namespace nhwc
