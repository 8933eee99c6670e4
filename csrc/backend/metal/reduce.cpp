// csrc/backend/metal/reduce.cpp -- Reduce on the GPU: which kernel, and in how many passes
// A pass cuts the reduced positions in chunks, each of which one group of threads folds to a partial result; the next
// pass folds those. The cuts depend on the shape alone, so the result is the same on every run and every GPU.
#include "params/reduce.h"

#include <algorithm>
#include <bit>

#include "backend/metal/fold.h"
#include "backend/metal/run.h"

namespace nhwc::metal {
namespace {

// A thread adds at most so many terms one after another: the rest of a sum is a tree, so that its error grows with
// the logarithm of the length.
constexpr int64_t kChain = 64;
// Groups of threads that keep every core of a large GPU (40 of them, each with several groups) busy.
constexpr int64_t kBusyGroups = 256;
constexpr int64_t kLeastChunk = 1024;  // a smaller one is not worth a second pass
constexpr int64_t kFewColumns = 16;    // fewer adjacent outputs leave most of a simdgroup idle

/// Whether neighbouring lanes are better given neighbouring outputs.
bool by_columns(const Loop& kept) { return kept.strides[0].back() == 1 && kept.inner() >= kFewColumns; }

/// Threads that share an output: few where rows are short.
int lanes_for(const FoldPass& p, bool columns) {
  if (columns) return kReduceRowLanes;
  if (p.length <= 4) return 1;
  if (p.length <= 32) return 4;
  if (p.length <= kLeastChunk && p.outputs >= kBusyGroups) return 32;
  return kReduceThreads;
}

void encode(const FoldPass& p, int64_t chunk, bool columns, int lanes, void* y, Dtype out) {
  ReduceParams params{};
  params.first = p.x.first;
  params.outputs = p.outputs;
  params.reduced = p.length;
  params.chunk = chunk;
  params.kept_axes = fill_axes(params.axes, p.kept);
  params.reduced_axes = fill_axes(params.axes + params.kept_axes, p.reduced);
  const int64_t chunks = std::max<int64_t>(1, groups_of(p.length, chunk));
  const int per_group = columns ? static_cast<int>(kReduceColumns) : kReduceThreads / lanes;
  Launch("reduce", std::string(columns ? "reduce_columns_" : "reduce_rows_") + short_name(p.accumulator))
      .in(p.x.low, p.x.bytes)
      .out(y, static_cast<size_t>(chunks * p.outputs) * size_of(out))
      .params(params)
      .constant(0, static_cast<int32_t>(p.fold))
      .constant(1, static_cast<int32_t>(p.x.dtype))
      .constant(2, static_cast<int32_t>(out))
      .constant(3, p.truth)
      .constant(4, is_wide(std::max(p.outputs, p.length)))
      .constant(5, static_cast<int32_t>(lanes))
      .constant(6, false)
      .run(groups_of(p.outputs, per_group), static_cast<uint32_t>(chunks), 1, kReduceThreads);
}

/// The axes in `over`, or the others.
Loop part_of(const Node& x, const Dims& over, bool reduced) {
  Shape shape;
  Strides strides;
  for (size_t a = 0; a < x.shape.size(); ++a) {
    if ((std::find(over.begin(), over.end(), static_cast<int64_t>(a)) != over.end()) != reduced) continue;
    shape.push_back(x.shape[a]);
    strides.push_back(x.strides[a]);
  }
  return collapse(shape, {&strides});
}

}  // namespace

int64_t chunk_within_workspace(int64_t chunk, int64_t length, int64_t bytes) {
  const int64_t most = at_once(length, static_cast<size_t>(bytes), 1, 0.4);  // the next pass's are a small part of it
  return most < 2 ? length : std::max(chunk, (length + most - 1) / most);
}

void fold(const FoldPass& p, void* y, Dtype out) {
  const ScratchScope scope;
  const bool columns = by_columns(p.kept);
  const int lanes = lanes_for(p, columns);
  const int64_t groups = groups_of(p.outputs, columns ? kReduceColumns : kReduceThreads / lanes);
  // Where outputs alone leave the GPU idle, chunks are smaller than their chains would allow.
  const int64_t wanted = std::max<int64_t>(kLeastChunk, p.length * groups / kBusyGroups);
  const int64_t each = std::min(kChain * lanes, static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(wanted))));
  const int64_t partial_bytes = p.outputs * static_cast<int64_t>(size_of(p.accumulator));
  const int64_t chunk = p.length <= each ? each : chunk_within_workspace(each, p.length, partial_bytes);
  if (p.length <= chunk) return encode(p, std::max<int64_t>(1, p.length), columns, lanes, y, out);
  const int64_t chunks = groups_of(p.length, chunk);
  void* partial = scratch(static_cast<size_t>(chunks * p.outputs) * size_of(p.accumulator));
  encode(p, chunk, columns, lanes, partial, p.accumulator);
  fold(pass_of_partial(p.fold, partial, chunks, p.outputs, p.accumulator), y, out);
}

FoldPass pass_of_partial(Fold kind, const void* partial, int64_t parts, int64_t outputs, Dtype accumulator) {
  const Strides ones{1}, apart{outputs};
  return {Source(partial, parts * outputs, accumulator),
          collapse({outputs}, {&ones}),
          collapse({parts}, {&apart}),
          outputs,
          parts,
          kind,
          false,
          accumulator};
}

Fold fold_of(ReduceKind kind) {
  return kind == ReduceKind::all ? Fold::min : kind == ReduceKind::any ? Fold::max : static_cast<Fold>(kind);
}
Dtype partial_dtype(ReduceKind kind, Dtype out) {
  return kind == ReduceKind::all || kind == ReduceKind::any ? Dtype::uint32 : accumulator_of(out);
}

FoldPass pass_of(const Reduce& p, const Node& x, Dtype out) {
  const Loop kept = part_of(x, p.axes, false), reduced = part_of(x, p.axes, true);
  return {Source(x),
          kept,
          reduced,
          size_of(kept.shape),
          size_of(reduced.shape),
          fold_of(p.kind),
          p.kind == ReduceKind::all || p.kind == ReduceKind::any,
          partial_dtype(p.kind, out)};
}

void run(const Reduce& p, Node& n) {
  allocate_output(n);
  if (size_of(n.shape) > 0) fold(pass_of(p, *n.inputs[0].node(), n.dtype), n.data(), n.dtype);
}

}  // namespace nhwc::metal
