// csrc/eval/fuse_elementwise.cpp -- which elementwise nodes are computed together
#include <atomic>

#include "base/env.h"
#include "eval/fuse.h"

namespace nhwc {
namespace {

// Arrays of the chain's shape that must be computed before it and wait for it in memory. Op by op, each would be freed
// soon after it is made.
constexpr int kWaiting = 4;
// Leaves that need room in the nearest cache beside the results: broadcasts, but for the numbers that kernels take as
// they are.
constexpr int kSpread = 12;

std::atomic<int> fusion{-1};  // -1: as the environment says

// Node::chain: the number of the chain that met the node, and in the low bits how far it got: how often it was read by
// nodes of the chain; whether it is one of them; its place among the operands; whether other chains read it too, or
// read what is computed again from it.
constexpr int kIdShift = 16;
constexpr uint64_t kReads = 0xff, kAbsorbed = 0x100, kPlaced = 0x200, kAgain = 0x400;
uint64_t last_id = 0;

bool met(const Node& n) { return n.chain >> kIdShift == last_id; }

bool is_private_broadcast(const Node& n) {
  return !n.is_ready() && std::holds_alternative<Broadcast>(n.prim) && !n.tracer() &&
         n.refs.load(std::memory_order_acquire) == 1;
}

/// What the nodes that were taken into a chain ask for, at most.
struct Needs {
  int operands = 1, waiting = 0, spread = 0;

  void add(const Node& n) {
    operands += static_cast<int>(n.inputs.size()) - 1;
    for (const Array& in : n.inputs) {
      const Node& m = *in.node();
      if (m.is_ready() || is_elementwise(m.prim)) continue;
      if (!std::holds_alternative<Broadcast>(m.prim))
        ++waiting;
      else if (m.dtype != Dtype::float32 || !std::holds_alternative<Binary>(n.prim) || !m.inputs[0].shape().empty())
        ++spread;
    }
  }
  bool are_met() const { return operands <= kChainLeaves && waiting <= kWaiting && spread <= kSpread; }
};

/// Marks the nodes of the chain that ends in `last`; returns how many there are. A node is taken once every handle to
/// it is known to be an input of the chain's nodes, or where every reader computes it again.
int absorb(Node& last, Recompute& recompute) {
  Node* nodes[kChainOps] = {&last};
  int count = 1;
  Needs needs;
  needs.add(last);
  for (int i = 0; i < count; ++i)
    for (const Array& in : nodes[i]->inputs) {
      Node& m = *in.node();
      if (!can_be_inner(m) || on_gpu(m) != on_gpu(last) || recompute.has_step(m)) continue;
      m.chain = ((met(m) ? m.chain : last_id << kIdShift) + 1) | (nodes[i]->chain & kAgain);
      if (count == kChainOps || m.chain & kAbsorbed) continue;
      const bool all_read = (m.chain & kReads) == m.refs.load(std::memory_order_acquire);
      if (!all_read && !recompute.pays(m)) continue;
      if (find_conv_chain(in).conv) {  // has a pass of its own
        needs.waiting += all_read;
        continue;
      }
      Needs with = needs;
      with.add(m);
      if (!with.are_met()) continue;
      needs = with;
      m.chain |= kAbsorbed | (all_read ? 0 : kAgain);
      m.recomputed |= (m.chain & kAgain) != 0;
      nodes[count++] = &m;
    }
  return count;
}

}  // namespace

bool fusion_enabled() {
  int on = fusion.load(std::memory_order_relaxed);
  if (on < 0) fusion.store(on = env("NHWC_DISABLE_FUSION") != "1", std::memory_order_relaxed);
  return on != 0;
}
void set_fusion_enabled(bool on) { fusion.store(on); }

ChainPool::Range ChainPool::find(Node& n) {
  const bool reduces = std::holds_alternative<Reduce>(n.prim);
  if (!reduces && !is_elementwise(n.prim)) return {};
  bool any = false;
  for (const Array& in : n.inputs) any |= can_be_inner(*in.node());
  if (!any || n.tracer() || !fusion_enabled()) return {};
  Node& last = reduces ? *n.inputs[0].node() : n;
  const bool again = reduces && last.refs.load(std::memory_order_acquire) != 1;
  if (reduces && (size_of(last.shape) < kReducedInChain || on_gpu(last) != on_gpu(n) ||
                  (again && !recompute_.pays(last)) || find_conv_chain(n.inputs[0]).conv))
    return {};
  last.chain = ++last_id << kIdShift | (again ? kAgain : 0);
  if (absorb(last, recompute_) == 1 && !reduces) return {};
  return place(last);
}

/// Lists the marked nodes and what they read, in the order in which they would be computed one by one.
ChainPool::Range ChainPool::place(Node& last) {
  Range r{static_cast<uint32_t>(ops_.size()), static_cast<uint32_t>(leaves_.size()), 0, 0};
  struct Visit {
    Node* node;
    uint32_t next;
  };
  Visit stack[kChainOps] = {{&last, 0}};
  for (int depth = 1; depth > 0;) {
    Visit& top = stack[depth - 1];
    const NodeInputs& inputs = top.node->inputs;
    if (top.next < inputs.size()) {
      const Array& in = inputs[top.next++];
      Node& m = *in.node();
      const uint64_t state = met(m) ? m.chain : 0;
      const bool again = top.node->chain & kAgain;
      if (state & kPlaced) {
        const uint64_t operand = state & kReads;
        if (operand < kChainOps) continue;
        uint8_t& reads = leaves_[r.first_leaf + operand - kChainOps].reads;
        reads = again ? 0 : static_cast<uint8_t>(reads + (reads > 0));
      } else if (state & kAbsorbed) {
        stack[depth++] = {&m, 0};
      } else {
        m.chain = last_id << kIdShift | kPlaced | static_cast<uint64_t>(kChainOps + r.leaves++);
        const bool spread = is_private_broadcast(m);
        m.recomputed |= spread && again;
        leaves_.push_back(spread ? ChainLeaf{&m.inputs[0], 0} : ChainLeaf{&in, static_cast<uint8_t>(!again)});
      }
      continue;
    }
    ChainOp op{top.node, {}};
    for (size_t i = 0; i < inputs.size(); ++i) op.operands[i] = inputs[i].node()->chain & kReads;
    ops_.push_back(op);
    top.node->chain = last_id << kIdShift | kPlaced | r.ops++;
    --depth;
  }
  return r;
}

}  // namespace nhwc
