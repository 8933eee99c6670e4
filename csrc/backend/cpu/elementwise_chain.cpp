// csrc/backend/cpu/elementwise_chain.cpp -- runs a chain of elementwise nodes block by block
#include "backend/cpu/elementwise_chain.h"

#include <bit>
#include <cstring>

#include "backend/cpu/elementwise_loop.h"
#include "backend/cpu/run.h"
#include "base/divide.h"
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

/// The type that values are held and computed in.
Dtype held(Dtype t) { return is_half(t) ? Dtype::float32 : t; }

/// Gives values that a half type can hold where the operands are such.
bool is_exact(const Primitive& p) {
  if (const auto* unary = std::get_if<Unary>(&p)) {
    using enum UnaryKind;
    const UnaryKind k = unary->kind;
    return k == abs || k == negative || k == sign || k == floor || k == ceil || k == round || k == relu || k == relu6;
  }
  if (const auto* binary = std::get_if<Binary>(&p))
    return binary->kind == BinaryKind::maximum || binary->kind == BinaryKind::minimum;
  return std::holds_alternative<Select>(p);
}

}  // namespace

ChainProgram::ChainProgram(const Chain& chain) {
  const Node& last = *chain.ops.back().node;
  total_ = size_of(last.shape);
  item_ = static_cast<int64_t>(size_of(last.dtype));
  for (const ChainLeaf& leaf : chain.leaves) add_leaf(*leaf.array->node(), last.shape);
  const auto end = static_cast<uint8_t>(chain.ops.size() - 1);
  for (uint8_t i = 0; i < end; ++i) {
    add_step(chain.ops[i], i);
    const Dtype t = chain.ops[i].node->dtype;
    if (!is_half(t) || is_exact(chain.ops[i].node->prim)) continue;
    convert(i, Dtype::float32, kRounded, t);
    convert(kRounded, t, i, Dtype::float32);
  }
  add_step(chain.ops[end], is_half(last.dtype) ? end : kOut);
  if (is_half(last.dtype)) convert(end, Dtype::float32, kOut, last.dtype);
  place_results();
  for (Leaf& leaf : leaves_) {
    if (leaf.is_spread())
      leaf.room = take_room(static_cast<int64_t>(size_of(held(leaf.dtype))), leaf.period);
    else if (leaf.is_gathered())
      leaf.room = take_room(leaf.item(), 0);
  }
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
  leaf.dtype = x.dtype;
  const int64_t size = size_of(x.shape);
  if (size == total_ && x.row_major) {
    leaves_.push_back(leaf);
    return;
  }
  Strides strides = broadcast_strides(x.shape, x.strides, shape);
  Loop loop = collapse(shape, {&strides});
  if (const int64_t inner = loop.strides[0].back(); inner != 0 && inner != 1 && size >= kCheapGrain) {
    copies_.push_back(allocate(static_cast<size_t>(size * leaf.item())));
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
  const int64_t bytes = leaf.period * static_cast<int64_t>(size_of(held(leaf.dtype)));
  if (leaf.period < total_ && leaf.period <= kLongest && repeated_bytes_ + bytes <= kRepeated) {
    repeated_bytes_ += bytes;
    leaf.access = Access::repeated;
  } else {
    leaf.access = loop.strides[0].back() == 1 ? Access::rows : Access::gathered;
  }
}

/// Returns the operand that the kernel takes as one element, or -1.
int ChainProgram::choose_kernel(const ChainOp& op, Step& s) {
  const ElementwiseKernels& k = kernels().elementwise;
  const NodeInputs& inputs = op.node->inputs;
  const int t = index(held(inputs[0].dtype())), to = index(held(op.node->dtype));
  int alone = -1;
  bool heavy = false;
  if (const auto* unary = std::get_if<Unary>(&op.node->prim)) {
    s.unary = k.unary[static_cast<int>(unary->kind)][t];
    heavy = is_heavy(unary->kind);
  } else if (const auto* binary = std::get_if<Binary>(&op.node->prim)) {
    const int kind = static_cast<int>(binary->kind);
    const ElementwiseKernels::Binary scalars[] = {k.scalar_left[kind][t], k.scalar_right[kind][t]};
    s.binary = k.binary[kind][t];
    for (int i = 0; i < 2 && alone < 0; ++i) {
      const int l = op.operands[i] - kLeaf;
      if (!scalars[i] || l < 0 || leaves_[static_cast<size_t>(l)].access != Access::one) continue;
      s.binary = scalars[i];
      alone = i;
    }
    heavy = is_heavy(binary->kind);
  } else if (std::holds_alternative<Cast>(op.node->prim)) {
    s.unary = k.cast[t][to];
  } else {
    s.select = k.select[std::countr_zero(size_of(held(op.node->dtype)))];
  }
  NHWC_CHECK(s.unary, name(op.node->prim));  // whichever it is: all are pointers
  weight_ += heavy ? kCheapGrain / kHeavyGrain : 1;
  return alone;
}

/// Where operand i is read; a leaf of a half type is converted first.
uint8_t ChainProgram::slot_of(const ChainOp& op, int i, bool alone) {
  const uint8_t o = op.operands[i];
  if (o < kLeaf) return o;
  const auto l = static_cast<uint8_t>(o - kLeaf);
  Leaf& leaf = leaves_[l];
  leaf.spread |= leaf.access == Access::one && (!alone || is_half(leaf.dtype));
  if (alone) return static_cast<uint8_t>(kAlone + l);
  if (!is_half(leaf.dtype)) return o;
  const auto wide = static_cast<uint8_t>(kWide + l);
  if (!leaf.is_spread() && items_[wide] == 0) convert(o, leaf.dtype, wide, Dtype::float32);
  return wide;
}

void ChainProgram::add_step(const ChainOp& op, uint8_t result) {
  Step s;
  s.arity = static_cast<uint8_t>(op.node->inputs.size());
  s.result = result;
  const int alone = choose_kernel(op, s);
  for (int i = 0; i < s.arity; ++i) s.slot[i] = slot_of(op, i, i == alone);
  steps_.push_back(s);
  items_[result] = static_cast<uint8_t>(size_of(held(op.node->dtype)));
}

void ChainProgram::convert(uint8_t from, Dtype a, uint8_t to, Dtype b) {
  Step s;
  s.unary = kernels().elementwise.cast[index(a)][index(b)];
  s.arity = 1;
  s.slot[0] = from;
  s.result = to;
  steps_.push_back(s);
  items_[to] = static_cast<uint8_t>(size_of(b));
  ++weight_;
}

ChainProgram::Room ChainProgram::take_room(int64_t item, int64_t period) {
  const Room at = end_;
  end_.per_element += item;
  end_.fixed += round_up(item * period, 64) + 64;  // a line more: blocks a power of two apart share cache sets
  return at;
}

void ChainProgram::place_results() {
  int last_reader[kSlots];
  bool placed[kSlots] = {};
  for (size_t i = 0; i < steps_.size(); ++i)
    for (int j = 0; j < steps_[i].arity; ++j) last_reader[steps_[i].slot[j]] = static_cast<int>(i);
  if (items_[kRounded]) rooms_[kRounded] = take_room(items_[kRounded], 0);
  placed[kRounded] = placed[kOut] = true;
  struct Free {
    uint8_t item;
    Room room;
  };
  InlineVec<Free, 8> free;
  for (size_t i = 0; i < steps_.size(); ++i) {
    const Step& s = steps_[i];
    const uint8_t item = items_[s.result];
    // Kernels may write over what they read, element for element, but not over a condition.
    const auto release = [&](int j) {
      const uint8_t o = s.slot[j];
      if (items_[o] == 0 || o == kRounded || last_reader[o] != static_cast<int>(i)) return;
      last_reader[o] = -1;  // an operand that is read twice is let go once
      if (!placed[s.result] && items_[o] == item && !(s.arity == 3 && j == 0)) {
        rooms_[s.result] = rooms_[o];
        placed[s.result] = true;
      } else {
        free.push_back({items_[o], rooms_[o]});
      }
    };
    for (int j = s.arity == 3 ? 1 : 0; j < s.arity; ++j) release(j);
    const auto fits = std::find_if(free.begin(), free.end(), [&](const Free& f) { return f.item == item; });
    if (!placed[s.result] && fits != free.end()) {
      rooms_[s.result] = fits->room;
      free.erase(static_cast<size_t>(fits - free.begin()));
      placed[s.result] = true;
    }
    if (!placed[s.result]) rooms_[s.result] = take_room(item, 0);
    placed[s.result] = true;
    if (s.arity == 3) release(0);
  }
}

ChainWorker::ChainWorker(const ChainProgram& p, int64_t longest) : p_(p) {
  const int64_t m = std::min(p.block_, longest);
  for (const Program::Step& s : p.steps_)
    if (s.result != Program::kOut) slots_[s.result] = at(p.rooms_[s.result]);
  for (size_t i = 0; i < p.leaves_.size(); ++i) {
    const Program::Leaf& leaf = p.leaves_[i];
    char* const data = leaf.is_spread() ? spread(leaf, m) : const_cast<char*>(leaf.data);
    slots_[Program::kLeaf + i] = data;
    slots_[Program::kAlone + i] = is_half(leaf.dtype) ? data : const_cast<char*>(leaf.data);
    if (is_half(leaf.dtype) && leaf.is_spread()) slots_[Program::kWide + i] = data;
  }
}

/// Fills the leaf's room with what its blocks of m elements read.
char* ChainWorker::spread(const Program::Leaf& leaf, int64_t m) {
  alignas(64) char halves[Program::kLongest * 2];
  char* const room = at(leaf.room);
  char* const period = is_half(leaf.dtype) ? halves : room;
  if (leaf.access == Program::Access::one)
    std::memcpy(period, leaf.data, size_of(leaf.dtype));
  else
    gather(period, leaf.data, p_.loops_[leaf.loop], 0, 0, leaf.period, size_of(leaf.dtype));
  if (is_half(leaf.dtype))
    kernels().elementwise.cast[index(leaf.dtype)][index(Dtype::float32)](period, room, leaf.period);
  const auto item = static_cast<int64_t>(size_of(held(leaf.dtype)));
  repeat(room, leaf.period * item, (m + leaf.period) * item);
  return room;
}

/// The leaf's elements [from, from + m).
char* ChainWorker::read(const Program::Leaf& leaf, int64_t from, int64_t m) {
  if (leaf.access == Program::Access::flat) return const_cast<char*>(leaf.data) + from * leaf.item();
  if (leaf.access == Program::Access::repeated)
    return at(leaf.room) + from % leaf.period * static_cast<int64_t>(size_of(held(leaf.dtype)));
  const Loop& loop = p_.loops_[leaf.loop];
  const int64_t inner = loop.inner();
  if (leaf.access == Program::Access::rows && from % inner + m <= inner) {
    const Walk row(loop, loop.ndim() - 1, from / inner);
    return const_cast<char*>(leaf.data) + (row.offset[0] + from % inner) * leaf.item();
  }
  gather(at(leaf.room), leaf.data, loop, 0, from, m, size_of(leaf.dtype));
  return at(leaf.room);
}

void ChainWorker::compute(int64_t from, int64_t count, char* out) {
  for (int64_t m; count > 0; from += m, count -= m, out += m * p_.item_) {
    m = std::min(p_.block_, count);
    for (size_t i = 0; i < p_.leaves_.size(); ++i) {
      const Program::Leaf& leaf = p_.leaves_[i];
      if (leaf.access == Program::Access::one) continue;
      const bool wide = is_half(leaf.dtype) && leaf.access == Program::Access::repeated;
      slots_[(wide ? Program::kWide : Program::kLeaf) + i] = read(leaf, from, m);
    }
    slots_[Program::kOut] = out;
    for (const Program::Step& s : p_.steps_) {
      char* const y = slots_[s.result];
      if (s.arity == 1)
        s.unary(slots_[s.slot[0]], y, m);
      else if (s.arity == 2)
        s.binary(slots_[s.slot[0]], slots_[s.slot[1]], y, m);
      else
        s.select(slots_[s.slot[0]], slots_[s.slot[1]], slots_[s.slot[2]], y, m);
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
