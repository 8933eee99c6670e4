// csrc/backend/cpu/conv_tune.h -- measures the algorithms a convolution can take, and remembers the fastest
// One table for the process. Choices that it holds are followed whether or not anything is being measured.
#pragma once

#include <string>
#include <vector>

#include "kernels/conv.h"
#include "plan/tuning.h"

namespace nhwc::cpu {

/// Changes with the table: a plan made under another version may be out of date.
uint64_t tuning_version();
/// The plan by the table, or else by the model. The first call reads the file of NHWC_TUNE_CACHE, if that is set; what
/// is wrong with it, and a choice that the planner refuses, are warnings.
CpuPlan make_plan(const ConvProblem& q, DeviceFacts facts);

/// Whether convolutions are measured before they are computed: between begin_tuning and end_tuning, in all threads.
bool tuning();
struct TuneOptions {
  int repeats = 10;       // timings of each algorithm, of which the least counts
  bool progress = false;  // a line on stderr
};
/// Returns what end_tuning wants. With `again` the table is emptied first.
size_t begin_tuning(const TuneOptions& options, bool again);
/// What was measured since.
std::vector<TuningEntry> end_tuning(size_t begun);

/// One convolution on its operands; one of the two is given. What they write to stays as it is.
struct ConvTask {
  const ConvOperands* forward = nullptr;
  bool pack_once = false;  // the weights are packed before the measurement, else each time
  const ConvWeightGradOperands* weight_grad = nullptr;
};
/// Unless the table knows the problem: runs every algorithm that the planner does not refuse and adds the fastest to
/// it. What differs from the plainest algorithm's result is left out with a warning.
void measure_conv(const ConvProblem& q, int64_t outputs, const ConvTask& task);

/// The table as the text of a file, and a file's choices into the table; those that it has already stay. A file that is
/// missing is good and empty.
std::string tuning_text();
ParsedTuning load_tuning(const std::string& path);

}  // namespace nhwc::cpu
