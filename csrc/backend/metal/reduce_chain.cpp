// csrc/backend/metal/reduce_chain.cpp -- a chain's result reduced without being stored in whole
// The chain is computed slab by slab along one axis, and each slab is reduced before the next one but one takes its
// place. What is small is one slab: its reduction has the bits of the single operations. Where the slabs of an axis, or
// their partial results, would be too large, they are cut along another axis.
#include <algorithm>

#include "backend/metal/chain_part.h"
#include "backend/metal/fold.h"
#include "backend/metal/run.h"
#include "nhwc/memory.h"

namespace nhwc::metal {
namespace {

// Half of it stays in a GPU's last cache (8 MB of an M1), so that the reduction reads no memory; and it is work enough
// to hide a dispatch.
constexpr int64_t kSlabBytes = int64_t(4) << 20;

class SlabbedReduction {
 public:
  SlabbedReduction(const Reduce& p, Node& n, const Node& x)
      : p_(p),
        n_(n),
        item_(static_cast<int64_t>(size_of(x.dtype))),
        most_(std::max(item_, std::min(kSlabBytes, share_of_workspace(4)))),  // two at a time
        accumulator_(partial_dtype(p.kind, n.dtype)) {
    for (Node& turn : turns_) {
      turn.dtype = x.dtype;
      turn.stream = x.stream;
    }
  }
  ~SlabbedReduction() {
    for (Node& turn : turns_)
      if (turn.buffer) keep_as_scratch(std::move(turn.buffer));
  }

  /// The chain over `shape`, reduced into y: elements of dtype `out`, the result's or that of partial results.
  void run(const Shape& shape, const Chain& chain, Dtype out, char* y) {
    const int64_t bytes = size_of(shape) * item_;
    if (bytes <= most_) return slab(shape, chain, out, y);
    size_t axis = best_axis(shape);
    int64_t length = shape[axis], part = outputs_of(shape) * static_cast<int64_t>(size_of(accumulator_));
    const int64_t parts = std::max<int64_t>(2, share_of_workspace(8) / part);  // whose partial results are kept
    const auto slab_of = [&] { return std::max<int64_t>(1, most_ / (bytes / length)); };
    if (reduced(axis) && groups_of(length, slab_of()) > parts) {
      const size_t kept = first_kept(shape);
      if (kept < shape.size()) axis = kept, length = shape[kept];
    }
    if (!reduced(axis)) {
      const int64_t each = slab_of(), row = outputs_of(shape) / length * static_cast<int64_t>(size_of(out));
      for (int64_t begin = 0; begin < length; begin += each) {
        const ChainPart slab(chain, shape, axis, begin, std::min(begin + each, length));
        run(slab.shape(), slab.chain(), out, y + begin * row);
      }
      return;
    }
    const ScratchScope scope;
    const int64_t each = std::max<int64_t>(slab_of(), groups_of(length, parts)), count = groups_of(length, each);
    char* partial = static_cast<char*>(scratch(static_cast<size_t>(count * part)));
    for (int64_t i = 0; i < count; ++i) {
      const ChainPart slab(chain, shape, axis, i * each, std::min((i + 1) * each, length));
      run(slab.shape(), slab.chain(), accumulator_, partial + i * part);
    }
    fold(pass_of_partial(fold_of(p_.kind), partial, count, outputs_of(shape), accumulator_), y, out);
  }

 private:
  static int64_t share_of_workspace(size_t parts) { return static_cast<int64_t>(get_workspace_limit() / parts); }
  bool reduced(size_t axis) const {
    return std::find(p_.axes.begin(), p_.axes.end(), static_cast<int64_t>(axis)) != p_.axes.end();
  }
  int64_t outputs_of(const Shape& shape) const {
    int64_t count = 1;
    for (size_t a = 0; a < shape.size(); ++a) count *= reduced(a) ? 1 : shape[a];
    return count;
  }
  /// Whose slabs give adjacent outputs; the number of axes where none is left.
  size_t first_kept(const Shape& shape) const {
    size_t a = 0;
    while (a < shape.size() && (reduced(a) || shape[a] == 1)) ++a;
    return a;
  }
  /// The longest among the reduced axes and the first kept one.
  size_t best_axis(const Shape& shape) const {
    const size_t kept = first_kept(shape);
    size_t best = kept < shape.size() ? kept : 0;
    for (size_t a = 0; a < shape.size(); ++a)
      if (reduced(a) && (shape[a] > shape[best] || (shape[a] == shape[best] && a < best))) best = a;
    return best;
  }

  void slab(const Shape& shape, const Chain& chain, Dtype out, char* y) {
    const ScratchScope scope;
    Node& turn = turns_[++turn_ % 2];
    if (!turn.buffer) {
      turn.shape = {std::max(most_ / item_, size_of(shape))};
      allocate_output(turn);
    }
    turn.shape = shape;
    turn.strides = contiguous_strides(shape);
    fill_chain(chain, turn);
    fold(pass_of(p_, turn, n_.dtype), y, out);
  }

  const Reduce& p_;
  const Node& n_;
  const int64_t item_, most_;  // bytes; of a slab
  const Dtype accumulator_;
  Node turns_[2];  // slabs take turns
  uint32_t turn_ = 0;
};

}  // namespace

void run_reduced_chain(const Reduce& p, const Chain& chain, Node& n) {
  allocate_output(n);
  if (size_of(n.shape) == 0) return;
  const Node& x = *chain.ops.back().node;
  SlabbedReduction(p, n, x).run(x.shape, chain, n.dtype, n.data());
}

}  // namespace nhwc::metal
