// csrc/eval/recompute.cpp -- which elementwise nodes each reader computes again, because keeping them costs more
#include "eval/recompute.h"

#include <algorithm>

#include "backend/cpu/elementwise_loop.h"

namespace nhwc {
namespace {

// Elements from which it is asked at all: below, arrays stay in the nearest caches, where they cost less than the
// asking.
constexpr int64_t kLarge = 65536;

// Ops over a block in L1 that take as long as one array on its way from or to memory.
constexpr int kOpsOfPass = 4;
constexpr int kHeavyOps = 8;

constexpr int kDepth = 4;  // of ops behind a node that are looked at

int ops_of(const Primitive& p) {
  if (const auto* unary = std::get_if<Unary>(&p)) return cpu::is_heavy(unary->kind) ? kHeavyOps : 1;
  if (const auto* binary = std::get_if<Binary>(&p)) return cpu::is_heavy(binary->kind) ? kHeavyOps : 1;
  return 1;
}

bool joins_chains(const Node& n) {
  return !n.tracer() && (is_elementwise(n.prim) ||
                         (std::holds_alternative<Reduce>(n.prim) && size_of(n.inputs[0].shape()) >= kReducedInChain));
}

}  // namespace

bool is_elementwise(const Primitive& p) {
  return std::holds_alternative<Unary>(p) || std::holds_alternative<Binary>(p) || std::holds_alternative<Select>(p) ||
         std::holds_alternative<Cast>(p);
}
bool can_be_inner(const Node& n) { return !n.is_ready() && is_elementwise(n.prim) && !n.tracer(); }

void Recompute::begin(std::span<const Array> roots, uint32_t epoch) {
  roots_ = roots;
  epoch_ = epoch;
  counted_ = false;
}

/// Only when first asked: small programs never do.
void Recompute::count_readers() {
  counted_ = true;
  known_.clear();
  const auto reach = [&](const Array& a, bool fuses) {
    const Node& n = *a.node();
    if (n.is_ready()) return;
    const auto [at, added] = known_.try_emplace(&n);
    at->second.fusing_readers += fuses;
    if (added) stack_.push_back(&n);
  };
  for (const Array& a : roots_) reach(a, false);
  while (!stack_.empty()) {
    const Node& n = *stack_.back();
    stack_.pop_back();
    const bool fuses = joins_chains(n);
    for (const Array& in : n.inputs) reach(in, fuses);
  }
}

void Recompute::Cost::add_array(const Node& n) {
  if (reads <= kArrays && std::find(arrays, arrays + reads, &n) == arrays + reads) arrays[reads++] = &n;
}

void Recompute::add_cost(const Node& n, int depth, Cost& c) {
  c.ops += ops_of(n.prim);
  for (const Array& in : n.inputs) {
    const Node& m = *in.node();
    if (std::holds_alternative<Broadcast>(m.prim) || size_of(m.shape) < size_of(n.shape)) continue;
    const bool inner = can_be_inner(m) && !has_step(m) && depth < kDepth &&
                       (m.refs.load(std::memory_order_acquire) == 1 || pays(m, depth + 1));
    if (inner)
      add_cost(m, depth + 1, c);
    else
      c.add_array(m);
    if (!c.is_low()) break;
  }
}

bool Recompute::pays(const Node& n, int depth) {
  const uint32_t handles = n.refs.load(std::memory_order_acquire);
  if (known_.at(&n).fusing_readers != handles) return false;
  Cost c;
  add_cost(n, depth, c);
  if (!c.is_low()) return false;
  const int readers = static_cast<int>(std::min(handles, 16u));
  const int kept = kOpsOfPass * (c.reads + 1 + readers) + c.ops;
  const int again = readers * (kOpsOfPass * c.reads + c.ops);
  return again < kept;
}

bool Recompute::pays(const Node& n) {
  if (has_step(n) || size_of(n.shape) < kLarge) return false;
  if (!counted_) count_readers();
  Answer& answer = known_.at(&n).answer;
  if (answer == Answer::unknown) answer = pays(n, 0) ? Answer::yes : Answer::no;
  return answer == Answer::yes;
}

}  // namespace nhwc
