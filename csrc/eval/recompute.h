// csrc/eval/recompute.h -- which elementwise nodes each reader computes again, because keeping them costs more
#pragma once

#include <span>
#include <unordered_map>
#include <vector>

#include "graph/node.h"

namespace nhwc {

bool is_elementwise(const Primitive& p);
/// May be computed in one pass with what reads it.
bool can_be_inner(const Node& n);

/// Elements from which a reduction joins a chain: below, a tile costs more to prepare than memory costs to pass.
inline constexpr int64_t kReducedInChain = 4096;

/// Answers for one schedule. A node that several chains read is written once and read by each; where it comes from an
/// array or two by a few cheap ops, each reader does better to compute it from those.
class Recompute {
 public:
  /// The schedule of `roots` begins; nodes with mark `epoch` are in it.
  void begin(std::span<const Array> roots, uint32_t epoch);
  /// Whether the node has its place in the schedule.
  bool has_step(const Node& n) const { return n.mark == epoch_; }
  /// Whether a node that can be inner, of more than one reader, is to be computed again in each of them.
  bool pays(const Node& n);

 private:
  /// What computing a node again reads and does.
  struct Cost {
    static constexpr int kArrays = 2, kOps = 8;  // with more it is kept anyway
    const Node* arrays[kArrays + 1];
    int reads = 0, ops = 0;

    bool is_low() const { return reads <= kArrays && ops <= kOps; }
    void add_array(const Node& n);
  };
  enum class Answer : uint8_t { unknown, yes, no };
  struct Known {
    uint32_t fusing_readers = 0;  // inputs of nodes that could be in a chain
    Answer answer = Answer::unknown;
  };
  void count_readers();
  bool pays(const Node& n, int depth);
  void add_cost(const Node& n, int depth, Cost& c);

  std::span<const Array> roots_;
  uint32_t epoch_ = 0;
  bool counted_ = false;
  std::unordered_map<const Node*, Known> known_;  // of every lazy node
  std::vector<const Node*> stack_;
};

}  // namespace nhwc
