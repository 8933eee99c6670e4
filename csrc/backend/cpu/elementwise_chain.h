// csrc/backend/cpu/elementwise_chain.h -- a chain of elementwise nodes as a program over blocks that stay in cache
#pragma once

#include <vector>

#include "backend/cpu/strided.h"
#include "graph/chain.h"
#include "kernels/elementwise.h"

namespace nhwc::cpu {

/// Which kernels to call on which operands. Half types are held as the float32 that they are computed in, rounded after
/// every op as if they were stored. Immutable once made: threads share it, each with a ChainWorker.
class ChainProgram {
 public:
  /// The leaves are ready. Copies those that would be read across the grain of memory.
  explicit ChainProgram(const Chain& chain);

  /// Elements of a piece of a parallel loop: a multiple of the block.
  int64_t grain() const;
  /// Cost of an element, counted in additions.
  int64_t weight() const { return weight_; }

 private:
  friend class ChainWorker;
  static constexpr int64_t kNear = 24 << 10;   // bytes of blocks: with what is read in place, about what L1 holds
  static constexpr int64_t kArena = 64 << 10;  // enough for the worst chain, in blocks of kShortest
  static constexpr int64_t kLongest = 2048;    // elements of a block: a call costs as much as a hundred of them
  static constexpr int64_t kShortest = 64;
  static constexpr int64_t kRepeated = 8 << 10;  // bytes of the periods of leaves that are kept spread out

  // A slot is a pointer to the block of a value: results of ops, leaves as they lie, leaves as one element, leaves of
  // half types as float32, what is being rounded, the chain's result.
  static constexpr int kLeaf = kChainOps, kAlone = kLeaf + kChainLeaves, kWide = kAlone + kChainLeaves;
  static constexpr int kRounded = kWide + kChainLeaves, kOut = kRounded + 1;
  static constexpr int kSlots = kOut + 1;
  static_assert(kSlots <= 256);
  static_assert(kArena >= kShortest * 8 * (kChainOps + kChainLeaves + 1) + kRepeated + 64 * kSlots);

  /// Where a block begins in the arena: bytes per element of a block, and bytes.
  struct Room {
    int64_t per_element, fixed;
  };
  enum class Access : uint8_t {
    flat,      // in the chain's order
    one,       // one element
    repeated,  // spread out once: it repeats after `period` elements
    rows,      // adjacent along the innermost axis: in place where a block lies within a row, else gathered
    gathered,
  };
  struct Leaf {
    const char* data;
    Dtype dtype;
    Access access = Access::flat;
    bool spread = false;  // of one element: kernels read a run of it
    uint32_t loop = 0;    // index into loops_
    int64_t period = 1;
    Room room;

    int64_t item() const { return static_cast<int64_t>(size_of(dtype)); }
    bool is_spread() const { return access == Access::repeated || (access == Access::one && spread); }
    bool is_gathered() const { return access == Access::rows || access == Access::gathered; }
  };
  struct Step {
    union {
      ElementwiseKernels::Unary unary;
      ElementwiseKernels::Binary binary;
      ElementwiseKernels::Select select;
    };
    uint8_t arity, slot[3], result;
  };

  void add_leaf(const Node& x, const Shape& shape);
  void classify(Leaf& leaf, const Loop& loop);
  void add_step(const ChainOp& op, uint8_t result);
  int choose_kernel(const ChainOp& op, Step& s);
  uint8_t slot_of(const ChainOp& op, int i, bool alone);
  void convert(uint8_t from, Dtype a, uint8_t to, Dtype b);
  void place_results();
  Room take_room(int64_t item, int64_t period);

  InlineVec<Leaf, 8> leaves_;
  InlineVec<Step, 8> steps_;  // the last writes kOut
  std::vector<Loop> loops_;
  std::vector<BufferRef> copies_;
  uint8_t items_[kSlots] = {};  // bytes of an element, of slots that steps write
  Room rooms_[kSlots];          // of the same; those that are not needed at once share
  Room end_{0, 0};
  int64_t total_, item_, block_ = 0, weight_ = 0, repeated_bytes_ = 0;
};

/// Runs a program on one thread.
class ChainWorker {
 public:
  /// For calls of compute() with up to `longest` elements.
  ChainWorker(const ChainProgram& p, int64_t longest);
  /// Elements [from, from + count) of the chain's result, in row-major order, to `out`.
  void compute(int64_t from, int64_t count, char* out);

 private:
  using Program = ChainProgram;
  char* at(const Program::Room& r) { return arena_ + r.per_element * p_.block_ + r.fixed; }
  char* spread(const Program::Leaf& leaf, int64_t count);
  char* read(const Program::Leaf& leaf, int64_t from, int64_t m);

  const Program& p_;
  char* slots_[Program::kSlots];
  alignas(64) char arena_[Program::kArena];
};

}  // namespace nhwc::cpu
