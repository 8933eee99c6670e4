// csrc/backend/metal/reduce_chain.cpp -- a chain's result reduced without being stored in whole
// The chain is computed slab by slab along one axis, and each slab is reduced before the next one but one takes its
// place. What is small is one slab: its reduction has the bits of the single operations.
#include <algorithm>
#include <vector>

#include "backend/metal/fold.h"
#include "backend/metal/run.h"
#include "nhwc/memory.h"

namespace nhwc::metal {
namespace {

// Half of it stays in a GPU's last cache (8 MB of an M1), so that the reduction reads no memory; and it is work enough
// to hide a dispatch.
constexpr int64_t kSlabBytes = int64_t(4) << 20;

/// The part [begin, end) of an array along an axis of the shape it is broadcast to.
Array part_of(const Array& array, size_t axis, size_t ndim, int64_t begin, int64_t end) {
  const Node& x = *array.node();
  const size_t added = ndim - x.shape.size();
  if (axis < added || x.shape[axis - added] == 1) return array;
  Shape shape = x.shape;
  shape[axis - added] = end - begin;
  Array part = make_node(Identity{IdentityKind::alias}, std::move(shape), x.dtype, {}, x.stream);
  const int64_t bytes = begin * x.strides[axis - added] * static_cast<int64_t>(size_of(x.dtype));
  share_storage(*part.node(), x, x.strides, x.offset + bytes);
  return part;
}

class SlabbedReduction {
 public:
  SlabbedReduction(const Reduce& p, const Chain& chain, Node& n)
      : p_(p), chain_(chain), n_(n), x_(*chain.ops.back().node), outputs_(size_of(n.shape)) {
    const int64_t bytes = size_of(x_.shape) * static_cast<int64_t>(size_of(x_.dtype));
    const int64_t most = std::min(kSlabBytes, static_cast<int64_t>(get_workspace_limit() / 2));  // two at a time
    if (bytes <= most) return;
    axis_ = best_axis();
    per_slab_ = std::max<int64_t>(1, most / (bytes / x_.shape[axis_]));
    slabs_ = groups_of(x_.shape[axis_], per_slab_);
  }

  void run() {
    if (slabs_ == 1) {
      slab(x_.shape, chain_, nullptr, n_.data());
    } else if (reduced(axis_)) {
      const Dtype accumulator = partial_dtype(p_.kind, n_.dtype);
      const auto part = static_cast<size_t>(outputs_) * size_of(accumulator);
      char* partial = static_cast<char*>(scratch(static_cast<size_t>(slabs_) * part));
      for (int64_t s = 0; s < slabs_; ++s) slab_at(s, &accumulator, partial + static_cast<size_t>(s) * part);
      fold(pass_of_partial(fold_of(p_.kind), partial, slabs_, outputs_, accumulator), n_.data(), n_.dtype);
    } else {
      const size_t row = static_cast<size_t>(outputs_ / x_.shape[axis_]) * size_of(n_.dtype);
      for (int64_t s = 0; s < slabs_; ++s) slab_at(s, nullptr, n_.data() + static_cast<size_t>(s * per_slab_) * row);
    }
    for (Node& turn : turns_)
      if (turn.buffer) current_step().kept.push_back(std::move(turn.buffer));
  }

 private:
  bool reduced(size_t axis) const {
    return std::find(p_.axes.begin(), p_.axes.end(), static_cast<int64_t>(axis)) != p_.axes.end();
  }
  /// The longest among the reduced axes and the first kept one, whose slabs give adjacent outputs.
  size_t best_axis() const {
    size_t best = 0;
    bool kept_seen = false;
    for (size_t a = 0; a < x_.shape.size(); ++a) {
      if (!reduced(a) && (kept_seen || x_.shape[a] == 1)) continue;
      kept_seen |= !reduced(a);
      if (x_.shape[a] > x_.shape[best] || (best == 0 && a > 0 && x_.shape[0] == 1)) best = a;
    }
    return best;
  }

  void slab_at(int64_t s, const Dtype* partial, char* y) {
    const int64_t begin = s * per_slab_, end = std::min(begin + per_slab_, x_.shape[axis_]);
    std::vector<Array> parts;
    std::vector<ChainLeaf> leaves;
    parts.reserve(chain_.leaves.size());
    for (const ChainLeaf& leaf : chain_.leaves) {
      parts.push_back(part_of(*leaf.array, axis_, x_.shape.size(), begin, end));
      leaves.push_back({&parts.back(), leaf.reads});
    }
    Shape shape = x_.shape;
    shape[axis_] = end - begin;
    slab(shape, {chain_.ops, leaves}, partial, y);
  }
  /// The chain over `shape`, reduced into y: the result's dtype, or that of `partial` results.
  void slab(const Shape& shape, const Chain& chain, const Dtype* partial, char* y) {
    Node& turn = turns_[++turn_ % 2];
    turn.shape = shape;
    turn.dtype = x_.dtype;
    turn.stream = x_.stream;
    if (turn.buffer)
      turn.strides = contiguous_strides(shape);  // the last slab may be shorter
    else
      allocate_output(turn);
    fill_chain(chain, turn);
    fold(pass_of(p_, turn, n_.dtype), y, partial ? *partial : n_.dtype);
  }

  const Reduce& p_;
  const Chain& chain_;
  Node& n_;
  const Node& x_;
  const int64_t outputs_;
  size_t axis_ = 0;
  int64_t per_slab_ = 1, slabs_ = 1;
  Node turns_[2];  // slabs take turns
  uint32_t turn_ = 0;
};

}  // namespace

void run_reduced_chain(const Reduce& p, const Chain& chain, Node& n) {
  allocate_output(n);
  if (size_of(n.shape) > 0) SlabbedReduction(p, chain, n).run();
}

}  // namespace nhwc::metal
