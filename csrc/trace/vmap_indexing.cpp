// csrc/trace/vmap_indexing.cpp -- batching of slices, gathers and scatters
#include <algorithm>

#include "trace/batching.h"

namespace nhwc {
namespace {

Dims with_front(int64_t front, const Dims& d) {
  Dims r{front};
  r.append(d.begin(), d.end());
  return r;
}

// An index array of shape (batch, 1, ..., 1), broadcast to that of the others: each element of the batch reads its own.
Array batch_index(const Batching& b, const Shape& index) {
  Shape column(index.size() + 1, 1);
  column[0] = b.size;
  const Array iota = arange(0, static_cast<double>(b.size), 1, b.size < INT32_MAX ? Dtype::int32 : Dtype::int64);
  return broadcast_to(reshape(iota, column), b.with_batch(index));
}

bool any_batched(const Batching& b, size_t first, size_t last) {
  for (size_t i = first; i < last; ++i)
    if (b.batched(i)) return true;
  return false;
}

Dims shifted(const Dims& axes) {
  Dims r = axes;
  for (int64_t& a : r) ++a;
  return r;
}

std::vector<int> to_axes(const Dims& d) { return {d.begin(), d.end()}; }

// Inputs first .. last - 1, the indices, for a gather or scatter whose array has the batch in front as one more indexed
// axis.
Arrays batched_indices(const Batching& b, size_t first, size_t last) {
  Arrays indices{batch_index(b, b.n.inputs[first].shape())};
  for (size_t i = first; i < last; ++i) indices.push_back(b.wide(i));
  return indices;
}

}  // namespace

Array batch_rule(const Slice& p, const Batching& b) {
  return b.node(Slice{with_front(0, p.start), with_front(1, p.step)}, b.all_wide());
}

Array batch_rule(const SliceUpdate& p, const Batching& b) {
  return b.node(SliceUpdate{with_front(0, p.start), with_front(1, p.step), p.mode}, b.all_wide());
}

Array batch_rule(const Gather& p, const Batching& b) {
  const size_t inputs = b.in.size();
  const int index_rank = inputs > 1 ? b.n.inputs[1].ndim() : 0;
  const Array& x = b.in[0].a;
  Arrays indices;
  if (!any_batched(b, 1, inputs)) {  // the same places of every element
    for (size_t i = 1; i < inputs; ++i) indices.push_back(b.in[i].a);
    const Array y = gather(x, indices, to_axes(shifted(p.axes)), with_front(b.size, p.slice_sizes));
    return moveaxis(y, index_rank, 0);
  }
  if (!b.batched(0)) {  // more places of the one array
    for (size_t i = 1; i < inputs; ++i) indices.push_back(b.wide(i));
    return gather(x, indices, to_axes(p.axes), p.slice_sizes);
  }
  indices = batched_indices(b, 1, inputs);
  const Array y = gather(x, indices, to_axes(with_front(0, shifted(p.axes))), with_front(1, p.slice_sizes));
  return squeeze(y, std::vector<int>{index_rank + 1});
}

Array batch_rule(const Scatter& p, const Batching& b) {
  const size_t last = b.in.size() - 1;
  const int index_rank = last > 1 ? b.n.inputs[1].ndim() : 0;
  const Update mode = static_cast<Update>(p.mode);
  if (!any_batched(b, 1, last)) {
    Arrays indices;
    for (size_t i = 1; i < last; ++i) indices.push_back(b.in[i].a);
    return scatter(b.wide(0), indices, moveaxis(b.wide(last), 0, index_rank), to_axes(shifted(p.axes)), mode);
  }
  const Array updates = expand_dims(b.wide(last), {index_rank + 1});
  return scatter(b.wide(0), batched_indices(b, 1, last), updates, to_axes(with_front(0, shifted(p.axes))), mode);
}

Array batch_rule(const GatherAxis& p, const Batching& b) { return b.node(GatherAxis{p.axis + 1}, b.all_wide()); }
Array batch_rule(const ScatterAxis& p, const Batching& b) {
  return b.node(ScatterAxis{p.axis + 1, p.mode}, b.all_wide());
}

}  // namespace nhwc
