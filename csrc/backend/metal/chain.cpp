// csrc/backend/metal/chain.cpp -- a chain of elementwise nodes as one kernel, or as few as Metal's limits allow
#include <algorithm>
#include <bitset>
#include <cstdlib>

#include "backend/metal/chain_part.h"
#include "backend/metal/chain_source.h"
#include "backend/metal/copy.h"
#include "backend/metal/lay_out.h"
#include "backend/metal/run.h"

namespace nhwc::metal {
namespace {

constexpr size_t kBuffers = 30;  // Metal binds 31, the last for parameters
constexpr int kAxes = 10;        // of strided leaves; where more are left, they are copied
constexpr int64_t kNarrow = int64_t(1) << 31;

/// Something that is read: a leaf of the chain, or a result that an earlier kernel stored.
struct Read {
  const void* low;
  size_t bytes;
  Dtype dtype;
  Strides strides;  // over the chain's shape
  int64_t first;
  bool dense, one;
};

Strides broadcast_strides(const Node& x, const Shape& to) {
  Strides s(to.size(), 0);
  const size_t added = to.size() - x.shape.size();
  for (size_t a = 0; a < x.shape.size(); ++a)
    if (x.shape[a] != 1) s[added + a] = x.strides[a];
  return s;
}

Read dense_read(const void* data, Dtype dtype, const Shape& shape) {
  return {data, static_cast<size_t>(size_of(shape)) * size_of(dtype), dtype, contiguous_strides(shape), 0, true, false};
}
Read read_of(const Node& x, const Shape& shape) {
  const Reach r = reach_of(x);
  Read s{r.low, r.bytes, x.dtype, broadcast_strides(x, shape), r.first, false, false};
  s.one = std::all_of(s.strides.begin(), s.strides.end(), [](int64_t step) { return step == 0; });
  s.dense = !s.one && is_row_major(shape, s.strides);
  return s;
}

/// Strides of many operands over a shape whose axes are merged where all of them allow it.
struct Axes {
  std::vector<int64_t> shape;
  std::vector<std::vector<int64_t>> strides;

  Axes(const Shape& of, const std::vector<const Read*>& operands) : strides(operands.size()) {
    for (size_t a = 0; a < of.size(); ++a) {
      if (of[a] == 1) continue;
      bool merges = !shape.empty();
      for (size_t o = 0; merges && o < operands.size(); ++o)
        merges = strides[o].back() == operands[o]->strides[a] * of[a];
      if (merges)
        shape.back() *= of[a];
      else
        shape.push_back(of[a]);
      for (size_t o = 0; o < operands.size(); ++o) {
        if (merges) strides[o].pop_back();
        strides[o].push_back(operands[o]->strides[a]);
      }
    }
  }
  /// Of operand `o`, elements from the lowest to the highest.
  int64_t reach(size_t o) const {
    int64_t far = 0;
    for (size_t a = 0; a < shape.size(); ++a) far += std::abs(strides[o][a]) * (shape[a] - 1);
    return far;
  }
};

/// The chain cut into kernels: ops in order, each reading leaves and what earlier kernels stored.
class ChainRun {
 public:
  ChainRun(const Chain& chain, Node& into) : chain_(chain), into_(into), size_(size_of(into.shape)) {
    sources_.reserve(chain.leaves.size() + chain.ops.size());
    for (const ChainLeaf& leaf : chain.leaves) sources_.push_back(read_of(*leaf.array->node(), into.shape));
  }

  /// Bytes of scratch that an element needs: of results that later kernels read, and of copies.
  size_t scratch_bytes() const {
    const size_t count = chain_.ops.size();
    size_t bytes = 0;
    for (size_t begin = 0, end = count; begin < count; begin = end, end = count) {
      while (buffers_of(begin, end) > kBuffers) --end;
      for (size_t i = begin; i < end; ++i)
        if (i + 1 < count && is_stored(i, end)) bytes += size_of(chain_.ops[i].node->dtype);
    }
    std::vector<const Read*> strided;
    size_t copies = 0;
    for (const Read& s : sources_) {
      if (s.dense || s.one) continue;
      strided.push_back(&s);
      copies += size_of(s.dtype);
    }
    return bytes + (Axes(into_.shape, strided).shape.size() > static_cast<size_t>(kAxes) ? copies : 0);
  }

  void run() {
    const size_t count = chain_.ops.size();
    for (size_t begin = 0, end = count; begin < count; begin = end, end = count) {
      while (buffers_of(begin, end) > kBuffers) --end;
      encode(begin, end);
    }
  }

 private:
  /// The source that an operand is to a kernel of the ops from `begin` on; -1 where it is one of those.
  int source(uint8_t operand, size_t begin) const {
    if (operand >= kChainOps) return operand - kChainOps;
    return operand < begin ? stored_[operand] : -1;
  }
  bool is_stored(size_t op, size_t end) const {
    if (op + 1 == chain_.ops.size()) return true;
    for (size_t i = end; i < chain_.ops.size(); ++i)
      for (size_t j = 0; j < chain_.ops[i].node->inputs.size(); ++j)
        if (chain_.ops[i].operands[j] == op) return true;
    return false;
  }
  /// What a kernel of these ops reads and stores. Nothing need be stored yet.
  size_t buffers_of(size_t begin, size_t end) const {
    size_t count = 0;
    std::bitset<kChainOps + kChainLeaves> seen;  // by operand
    for (size_t i = begin; i < end; ++i) {
      for (size_t j = 0; j < chain_.ops[i].node->inputs.size(); ++j) {
        const uint8_t operand = chain_.ops[i].operands[j];
        const bool own = operand < kChainOps && operand >= begin;
        if (own || seen[operand]) continue;
        seen[operand] = true;
        ++count;
      }
      count += is_stored(i, end);
    }
    return count;
  }

  /// Where the result of an op goes; later kernels read it there.
  Read store(size_t op) {
    const Node& n = *chain_.ops[op].node;
    if (op + 1 == chain_.ops.size()) return dense_read(into_.data(), n.dtype, into_.shape);
    const Read s = dense_read(scratch(static_cast<size_t>(size_) * size_of(n.dtype)), n.dtype, into_.shape);
    stored_[op] = static_cast<int>(sources_.size());
    sources_.push_back(s);
    return s;
  }

  void encode(size_t begin, size_t end) {
    ChainKernel kernel{};
    std::vector<const Read*> reads;
    std::vector<Read> results;
    for (size_t i = begin; i < end; ++i) {
      const ChainOp& op = chain_.ops[i];
      SourceOp made{op.node, {}, is_stored(i, end)};
      for (size_t j = 0; j < op.node->inputs.size(); ++j) {
        const int s = source(op.operands[j], begin);
        if (s < 0) {
          made.operands[j] = {false, static_cast<int>(op.operands[j] - begin)};
          continue;
        }
        const Read* const from = &sources_[static_cast<size_t>(s)];
        const auto found = std::find(reads.begin(), reads.end(), from);
        made.operands[j] = {true, static_cast<int>(found - reads.begin())};
        if (found == reads.end()) reads.push_back(from);
      }
      if (made.stored) results.push_back(store(i));
      kernel.ops.push_back(made);
    }
    launch(kernel, reads, results);
  }

  /// Axes of what is strided among the sources; where they are too many, row-major copies take their place.
  Axes axes_of(const std::vector<const Read*>& reads, std::vector<const Read*>& strided) {
    for (const Read* s : reads)
      if (!s->dense && !s->one) strided.push_back(s);
    Axes axes(into_.shape, strided);
    if (axes.shape.size() <= static_cast<size_t>(kAxes)) return axes;
    for (const Read* s : strided) {
      const size_t bytes = static_cast<size_t>(size_) * size_of(s->dtype);
      const Read copy = dense_read(scratch(bytes), s->dtype, into_.shape);
      copy_strided(const_cast<void*>(copy.low), bytes, {copy.strides, 0}, s->low, s->bytes, {s->strides, s->first},
                   into_.shape, size_of(s->dtype));
      const_cast<Read&>(*s) = copy;  // sources_ are this object's own
    }
    strided.clear();
    return Axes(into_.shape, strided);
  }

  void launch(ChainKernel& kernel, const std::vector<const Read*>& reads, const std::vector<Read>& results) {
    std::vector<const Read*> strided;
    const Axes axes = axes_of(reads, strided);
    std::vector<size_t> slots;  // operands of `axes`, of which equal ones share a place
    size_t widest = 1;
    kernel.wide = size_ >= kNarrow;
    kernel.axes = static_cast<int>(axes.shape.size());
    for (const Read* s : reads) {
      const auto item = size_of(s->dtype);
      if (!s->one) widest = std::max(widest, item);
      if (s->dense || s->one) {
        kernel.leaves.push_back({s->dtype, s->dense ? LeafAccess::kDense : LeafAccess::kOne});
        continue;
      }
      const auto o = static_cast<size_t>(std::find(strided.begin(), strided.end(), s) - strided.begin());
      kernel.wide |= axes.reach(o) >= kNarrow;
      const auto same = std::find_if(slots.begin(), slots.end(), [&](size_t other) {
        return strided[other]->first == s->first && axes.strides[other] == axes.strides[o];
      });
      kernel.leaves.push_back({s->dtype, static_cast<int>(same - slots.begin())});
      if (same == slots.end()) slots.push_back(o);
    }
    for (const Read& r : results) widest = std::max(widest, size_of(r.dtype));
    kernel.slots = static_cast<int>(slots.size());
    kernel.per_thread = elements_per_thread(static_cast<int>(widest));

    const std::string source = source_of(kernel);
    Launch run(kChainLibrary, kChainName, source.c_str());
    for (const Read* s : reads) run.in(s->low, s->bytes);
    for (const Read& r : results) run.out(const_cast<void*>(r.low), r.bytes);
    std::vector<int64_t> words{size_, kernel.axes};  // ChainParams of chain_source.cpp
    if (kernel.slots) {
      words.insert(words.end(), axes.shape.begin(), axes.shape.end());
      for (const size_t o : slots) words.insert(words.end(), axes.strides[o].begin(), axes.strides[o].end());
      for (const size_t o : slots) words.push_back(strided[o]->first);
    }
    run.params(words.data(), words.size() * sizeof(int64_t));
    run_elements(run, size_, widest);
  }

  const Chain& chain_;
  Node& into_;
  const int64_t size_;
  std::vector<Read> sources_;  // leaves, then stored results
  int stored_[kChainOps];      // of an op that run() came past, where in sources_
};

}  // namespace

void fill_chain(const Chain& chain, Node& into) {
  const int64_t size = size_of(into.shape);
  if (size == 0) return;
  const ScratchScope scope;
  ChainRun whole(chain, into);
  const size_t bytes = whole.scratch_bytes();
  const int64_t most = bytes ? at_once(size, bytes, 1, 0.5) : size;
  if (size <= most) return whole.run();
  // Part by part along the first axis, whose parts lie side by side in the result.
  size_t axis = 0;
  while (into.shape[axis] == 1) ++axis;
  const int64_t length = into.shape[axis], row = size / length, each = std::max<int64_t>(1, most / row);
  for (int64_t begin = 0; begin < length; begin += each) {
    const ChainPart part(chain, into.shape, axis, begin, std::min(begin + each, length));
    Node slab;
    slab.shape = part.shape();
    slab.dtype = into.dtype;
    slab.stream = into.stream;
    share_storage(slab, into, contiguous_strides(slab.shape),
                  into.offset + begin * row * static_cast<int64_t>(size_of(into.dtype)));
    fill_chain(part.chain(), slab);
  }
}

void run_chain(const Chain& chain, Node& into) {
  allocate_output(into);
  fill_chain(chain, into);
}

}  // namespace nhwc::metal
