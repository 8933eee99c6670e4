// csrc/backend/cpu/elementwise_chain.cpp -- runs a chain of elementwise nodes block by block
#include "backend/cpu/elementwise_chain.h"

#include <bit>
#include <cstring>

#include "backend/cpu/elementwise_loop.h"
#include "backend/cpu/run.h"
#include "kernels/table.h"
#include "nhwc/error.h"

namespace nhwc::cpu {
namespace {

int index(Dtype t) { return static_cast<int>(t); }

Strides broadcast_strides(const Shape& of, const Strides& strides, const Shape& to) {
  Strides s(to.size(), 0);
  const size_t added = to.size() - of.size();
  for (size_t a = 0; a < of.size(); ++a)
    if (of[a] != 1) s[added + a] = strides[a];
  return s;
}

/// Elements after which the operand of the loop repeats.
int64_t period_of(const Loop& l) {
  int repeating = 0;  // leading axes along which it does not move
  while (repeating < l.ndim() && l.strides[0][repeating] == 0) ++repeating;
  int64_t p = 1;
  for (int a = repeating; a < l.ndim(); ++a) p *= l.shape[a];
  return p;
}

}  // namespace

ChainProgram::ChainProgram(const Chain& chain) {
  const Node& last = *chain.ops.back().node;
  total_ = size_of(last.shape);
  item_ = static_cast<int64_t>(size_of(last.dtype));
  for (const ChainLeaf& leaf : chain.leaves) add_leaf(*leaf.array->node(), last.shape);
  for (const ChainOp& op : chain.ops) add_step(op);
  place_results(chain);
  for (Leaf& leaf : leaves_)
    if (leaf.access >= Access::repeated || leaf.spread)
      leaf.room = take_room(leaf.item, leaf.access == Access::repeated ? leaf.period : 0);
  block_ = kLongest;
  if (end_.per_element > 0) block_ = std::min(block_, (kNear - end_.fixed) / end_.per_element / kShortest * kShortest);
  block_ = std::max(block_, kShortest);
}

int64_t ChainProgram::grain() const {
  // A few ops in L1 cost about what it costs to bring their operands there.
  const int64_t elements = kCheapGrain * 4 / std::max<int64_t>(weight_, 4);
  return std::max<int64_t>(2, (elements + block_ - 1) / block_) * block_;
}

void ChainProgram::add_leaf(const Node& x, const Shape& shape) {
  Leaf leaf;
  leaf.data = x.data();
  leaf.item = static_cast<int64_t>(size_of(x.dtype));
  const int64_t size = size_of(x.shape);
  if (size == total_ && x.row_major) {
    leaves_.push_back(leaf);
    return;
  }
  Strides strides = broadcast_strides(x.shape, x.strides, shape);
  Loop loop = collapse(shape, {&strides});
  if (const int64_t inner = loop.strides[0].back(); inner != 0 && inner != 1 && size >= kCheapGrain) {
    copies_.push_back(allocate(static_cast<size_t>(size * leaf.item)));
    const auto dense = static_cast<char*>(copies_.back()->data);
    copy_row_major(dense, x);
    leaf.data = dense;
    strides = broadcast_strides(x.shape, contiguous_strides(x.shape), shape);
    loop = collapse(shape, {&strides});
  }
  classify(leaf, loop);
  leaves_.push_back(leaf);
}

void ChainProgram::classify(Leaf& leaf, const Loop& loop) {
  leaf.period = period_of(loop);
  if (leaf.period == 1) {
    leaf.access = Access::one;
    return;
  }
  if (is_row_major(loop.shape, loop.strides[0])) return;
  leaf.loop = static_cast<uint32_t>(loops_.size());
  loops_.push_back(loop);
  const bool repeats = leaf.period < total_ && leaf.period <= kLongest;
  if (repeats && repeated_bytes_ + leaf.period * leaf.item <= kRepeated) {
    repeated_bytes_ += leaf.period * leaf.item;
    leaf.access = Access::repeated;
  } else {
    leaf.access = loop.strides[0].back() == 1 ? Access::rows : Access::gathered;
  }
}

void ChainProgram::add_step(const ChainOp& op) {
  const ElementwiseKernels& k = kernels().elementwise;
  const NodeInputs& inputs = op.node->inputs;
  const int t = index(inputs[0].dtype());
  const auto leaf = [&](int i) { return op.operands[i] < kChainOps ? nullptr : &leaves_[op.operands[i] - kChainOps]; };
  Step s;
  s.arity = static_cast<uint8_t>(inputs.size());
  int alone = -1;  // the operand that the kernel takes as one element
  bool heavy = false;
  if (const auto* unary = std::get_if<Unary>(&op.node->prim)) {
    s.unary = k.unary[static_cast<int>(unary->kind)][t];
    heavy = is_heavy(unary->kind);
  } else if (const auto* binary = std::get_if<Binary>(&op.node->prim)) {
    const int kind = static_cast<int>(binary->kind);
    const ElementwiseKernels::Binary scalars[] = {k.scalar_left[kind][t], k.scalar_right[kind][t]};
    s.binary = k.binary[kind][t];
    for (int i = 0; i < 2 && alone < 0; ++i)
      if (scalars[i] && leaf(i) && leaf(i)->access == Access::one) {
        s.binary = scalars[i];
        alone = i;
      }
    heavy = is_heavy(binary->kind);
  } else if (std::holds_alternative<Cast>(op.node->prim)) {
    s.unary = k.cast[t][index(op.node->dtype)];
  } else {
    s.select = k.select[std::countr_zero(size_of(op.node->dtype))];
  }
  NHWC_CHECK(s.unary, name(op.node->prim));  // whichever it is: all are pointers
  for (int i = 0; i < s.arity; ++i) {
    s.slot[i] = static_cast<uint8_t>(op.operands[i] + (i == alone ? kChainLeaves : 0));
    if (leaf(i) && leaf(i)->access == Access::one && i != alone) leaf(i)->spread = true;
  }
  steps_.push_back(s);
  weight_ += heavy ? kCheapGrain / kHeavyGrain : 1;
}

ChainProgram::Room ChainProgram::take_room(int64_t item, int64_t period) {
  const Room at = end_;
  end_.per_element += item;
  end_.fixed += (item * period + 63) / 64 * 64 + 64;  // a line more: blocks a power of two apart share cache sets
  return at;
}

void ChainProgram::place_results(const Chain& chain) {
  int last_reader[kChainOps] = {};
  for (size_t i = 0; i < steps_.size(); ++i)
    for (int j = 0; j < steps_[i].arity; ++j)
      if (chain.ops[i].operands[j] < kChainOps) last_reader[chain.ops[i].operands[j]] = static_cast<int>(i);
  struct Free {
    size_t item;
    Room room;
  };
  InlineVec<Free, 8> free;
  for (size_t i = 0; i + 1 < steps_.size(); ++i) {
    const size_t item = size_of(chain.ops[i].node->dtype);
    bool placed = false;
    // Kernels may write over what they read, element for element, but not over a condition.
    const auto release = [&](int j) {
      const uint8_t o = chain.ops[i].operands[j];
      if (o >= kChainOps || last_reader[o] != static_cast<int>(i)) return;
      last_reader[o] = -1;  // an operand that is read twice is let go once
      const size_t size = size_of(chain.ops[o].node->dtype);
      if (!placed && size == item && !(steps_[i].arity == 3 && j == 0)) {
        results_[i] = results_[o];
        placed = true;
      } else {
        free.push_back({size, results_[o]});
      }
    };
    if (steps_[i].arity != 3) release(0);
    for (int j = 1; j < steps_[i].arity; ++j) release(j);
    const auto fits = [&](const Free& f) { return f.item == item; };
    if (auto it = std::find_if(free.begin(), free.end(), fits); !placed && it != free.end()) {
      results_[i] = it->room;
      free.erase(static_cast<size_t>(it - free.begin()));
      placed = true;
    }
    if (!placed) results_[i] = take_room(static_cast<int64_t>(item), 0);
    if (steps_[i].arity == 3) release(0);
  }
}

ChainWorker::ChainWorker(const ChainProgram& p, int64_t longest) : p_(p) {
  const int64_t m = std::min(p.block_, longest);
  for (size_t i = 0; i < p.steps_.size(); ++i) slots_[i] = at(p.results_[i]);
  for (size_t i = 0; i < p.leaves_.size(); ++i) {
    const Program::Leaf& leaf = p.leaves_[i];
    char*& slot = slots_[kChainOps + i];
    slots_[kChainOps + kChainLeaves + i] = slot = const_cast<char*>(leaf.data);
    if (leaf.access == Program::Access::repeated) {
      const int64_t bytes = (m + leaf.period) * leaf.item;
      int64_t done = leaf.period * leaf.item;
      gather(at(leaf.room), leaf.data, p.loops_[leaf.loop], 0, 0, leaf.period, static_cast<size_t>(leaf.item));
      for (; done < bytes; done *= 2) std::memcpy(at(leaf.room) + done, at(leaf.room), std::min(done, bytes - done));
    } else if (leaf.access == Program::Access::one && leaf.spread) {
      slot = at(leaf.room);
      visit_item(static_cast<size_t>(leaf.item), [&]<class T>(T*) {
        std::fill_n(reinterpret_cast<T*>(slot), m, *reinterpret_cast<const T*>(leaf.data));
      });
    }
  }
}

/// The leaf's elements [from, from + m).
char* ChainWorker::read(const Program::Leaf& leaf, int64_t from, int64_t m) {
  if (leaf.access == Program::Access::flat) return const_cast<char*>(leaf.data) + from * leaf.item;
  if (leaf.access == Program::Access::repeated) return at(leaf.room) + from % leaf.period * leaf.item;
  const Loop& loop = p_.loops_[leaf.loop];
  const int64_t inner = loop.inner();
  if (leaf.access == Program::Access::rows && from % inner + m <= inner) {
    const Walk row(loop, loop.ndim() - 1, from / inner);
    return const_cast<char*>(leaf.data) + (row.offset[0] + from % inner) * leaf.item;
  }
  gather(at(leaf.room), leaf.data, loop, 0, from, m, static_cast<size_t>(leaf.item));
  return at(leaf.room);
}

void ChainWorker::compute(int64_t from, int64_t count, char* out) {
  const size_t last = p_.steps_.size() - 1;
  for (int64_t m; count > 0; from += m, count -= m, out += m * p_.item_) {
    m = std::min(p_.block_, count);
    for (size_t i = 0; i < p_.leaves_.size(); ++i)
      if (p_.leaves_[i].access != Program::Access::one) slots_[kChainOps + i] = read(p_.leaves_[i], from, m);
    slots_[last] = out;
    for (size_t i = 0; i <= last; ++i) {
      const Program::Step& s = p_.steps_[i];
      char* const a = slots_[s.slot[0]];
      if (s.arity == 1)
        s.unary(a, slots_[i], m);
      else if (s.arity == 2)
        s.binary(a, slots_[s.slot[1]], slots_[i], m);
      else
        s.select(a, slots_[s.slot[1]], slots_[s.slot[2]], slots_[i], m);
    }
  }
}

namespace {

/// Makes the storage of a leaf that dies with the chain that of its result.
bool take_leaf(const Chain& chain, Node& n) {
  for (const ChainLeaf& leaf : chain.leaves) {
    const Node& in = *leaf.array->node();
    if (leaf.reads == 0 || !can_take(n, in, leaf.reads)) continue;
    share_storage(n, in, contiguous_strides(n.shape), in.offset);
    return true;
  }
  return false;
}

}  // namespace

void run_chain(const Chain& chain, Node& into) {
  const int64_t total = size_of(into.shape), item = static_cast<int64_t>(size_of(into.dtype));
  if (total == 0) return allocate_output(into);
  const ChainProgram program(chain);
  const auto run = [&] {
    parallel_for(total, program.grain(),
                 [&](int64_t b, int64_t e) { ChainWorker(program, e - b).compute(b, e - b, into.data() + b * item); });
  };
  if (take_leaf(chain, into)) {
    UninterruptedScope to_the_end;  // half of an input overwritten could not be computed again
    run();
  } else {
    allocate_output(into);
    run();
  }
}

}  // namespace nhwc::cpu
