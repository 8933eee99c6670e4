// csrc/backend/cpu/conv_tune.h -- measures the algorithms a convolution can take, and remembers the fastest
// One table for the process. Choices that it holds are followed whether or not anything is being measured.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "plan/tuning.h"

namespace nhwc::cpu {

/// Changes with the table: a plan made under another version may be out of date.
uint64_t tuning_version();
/// What the table says. The first call reads the file of NHWC_TUNE_CACHE, if that is set; what is wrong with it is a
/// warning.
std::optional<Tuned> tuned_choice(const ConvProblem& q, const DeviceFacts& facts);

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

/// A call that computes the problem by a plan into `out`, with all that is made once made before.
using PrepareTrial = std::function<std::function<void()>(const ConvPlan& plan, void* out)>;
/// Unless the table knows the problem: runs every algorithm that the planner does not refuse and adds the fastest to
/// it. What differs from the plainest algorithm's result is left out with a warning.
void measure_conv(const ConvProblem& q, int64_t outputs, const PrepareTrial& prepare);

/// The table as the text of a file, and a file's choices into the table; those that it has already stay. A file that is
/// missing is good and empty.
std::string tuning_text();
ParsedTuning load_tuning(const std::string& path);

}  // namespace nhwc::cpu
