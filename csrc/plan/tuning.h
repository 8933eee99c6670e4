// csrc/plan/tuning.h -- the algorithms that were measured to be the fastest, by problem, and their text form; pure
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "plan/conv_plan.h"

namespace nhwc {

/// What a choice is remembered by: neither bias nor activation matters; in `batch_invariant` mode one choice is for
/// batches of any size, which batch 0 stands for (nothing is summed there, so it is no problem of its own).
ConvProblem tuning_key(ConvProblem q, bool batch_invariant);

struct TuningEntry {
  Isa isa = Isa::baseline;
  ConvProblem key;
  Tuned tuned;
  ConvAlgorithm preferred = ConvAlgorithm::direct;  // by the model, when it was measured
  double preferred_us = 0;                          // what that took
};

/// In the order in which they were added.
class TuningTable {
 public:
  const TuningEntry* find(Isa isa, const ConvProblem& key) const;
  /// False where the key is there already: then the older entry stays.
  bool add(const TuningEntry& e);
  const std::vector<TuningEntry>& entries() const { return entries_; }
  void clear();

 private:
  std::vector<TuningEntry> entries_;
  std::vector<uint64_t> hashes_;
};

/// Whose measurements a file holds: others say nothing about this machine, or about these kernels.
struct TuningOrigin {
  std::string library;  // version
  std::string machine;  // id of its family and the sizes of its caches
};
TuningOrigin tuning_origin(const DeviceFacts& facts);

std::string format_tuning(const TuningTable& table, const TuningOrigin& origin);

struct ParsedTuning {
  enum class Status : uint8_t { good, damaged, other_machine, other_version };
  Status status = Status::good;
  std::string problem;  // what is wrong; of a good file: what was left out of it, or nothing
  std::vector<TuningEntry> entries;
};
ParsedTuning parse_tuning(const std::string& text, const TuningOrigin& origin);

}  // namespace nhwc
