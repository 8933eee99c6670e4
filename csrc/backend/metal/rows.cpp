// csrc/backend/metal/rows.cpp -- ArgReduce, Scan and Softmax on the GPU: along one axis
// Long axes are cut in chunks that groups of threads take at once; the cuts depend on the shape alone.
#include <algorithm>
#include <bit>

#include "backend/metal/fold.h"
#include "backend/metal/run.h"
#include "params/reduce.h"
#include "params/scan.h"
#include "params/softmax.h"

namespace nhwc::metal {
namespace {

constexpr int64_t kFewColumns = 16;  // fewer neighbours leave most of a simdgroup's loads apart

/// So that `units` of work of one chunk each are some `busy`, but a chunk is in [least, most]; a power of two.
int64_t chunk_for(int64_t length, int64_t units, int64_t busy, int64_t least, int64_t most) {
  const auto wanted = static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(length * units / busy + 1)));
  return std::clamp(wanted, least, most);
}

/// The position of the largest or smallest of each row.
class ArgPass {
 public:
  ArgPass(const ArgReduce& p, const Node& x) : x_(x), max_(p.max), step_(x.strides[static_cast<size_t>(p.axis)]) {
    const Strides kept = without_axis(x.strides, p.axis);
    kept_ = collapse(without_axis(x.shape, p.axis), {&kept});
    outputs_ = size_of(kept_.shape);
    columns_ = kept_.strides[0].back() == 1 && kept_.inner() >= kFewColumns;
  }

  /// Of `length` candidates: the first positions, or the listed ones.
  void run(const uint32_t* listed, int64_t length, uint32_t* y) const {
    const int lanes = columns_ || length <= 4 ? 1 : length <= 1024 && outputs_ >= 256 ? 32 : kReduceThreads;
    const int64_t groups = groups_of(outputs_, kReduceThreads / lanes);
    const int64_t each = chunk_for(length, groups, 256, std::max(64, 4 * lanes), INT64_C(1) << 31);
    const int64_t chunk = length <= each ? each : chunk_within_workspace(each, length, outputs_ * 4);
    if (length <= chunk) return encode(listed, length, length, lanes, y);
    const int64_t chunks = groups_of(length, chunk);
    auto best = static_cast<uint32_t*>(scratch(static_cast<size_t>(chunks * outputs_) * 4));
    encode(listed, length, chunk, lanes, best);
    run(best, chunks, y);
  }

 private:
  void encode(const uint32_t* listed, int64_t length, int64_t chunk, int lanes, uint32_t* y) const {
    const int64_t chunks = groups_of(length, chunk);
    ArgReduceParams params{};
    params.first = x_.first;
    params.outputs = outputs_;
    params.reduced = length;
    params.chunk = chunk;
    params.step = step_;
    params.kept_axes = fill_axes(params.axes, kept_);
    Launch launch("reduce", std::string("arg_reduce_") + short_name(accumulator_of(x_.dtype)));
    launch.in(x_.low, x_.bytes);
    listed ? launch.in(listed, static_cast<size_t>(length * outputs_) * 4) : launch.none();
    launch.out(y, static_cast<size_t>(chunks * outputs_) * 4)
        .params(params)
        .constant(0, static_cast<int32_t>(max_ ? Fold::max : Fold::min))
        .constant(1, static_cast<int32_t>(x_.dtype))
        .constant(2, 0)
        .constant(3, false)
        .constant(4, is_wide(outputs_))
        .constant(5, static_cast<int32_t>(lanes))
        .constant(6, listed != nullptr)
        .run(groups_of(outputs_, kReduceThreads / lanes), static_cast<uint32_t>(chunks), 1, kReduceThreads);
  }

  Source x_;
  bool max_, columns_;
  int64_t step_, outputs_;
  Loop kept_;
};

/// Running results along an axis of x, into y.
struct ScanPass {
  Source x;
  Loop rows;  // in x and y
  int64_t length, step[2], first_out;
  Fold kind;
  bool exclusive;
  Dtype accumulator;

  void run(void* y, size_t y_bytes, Dtype out) const {
    const int64_t count = size_of(rows.shape);
    const bool columns = rows.strides[1].back() == 1 && rows.inner() >= kFewColumns;
    // Columns are added up one after another, so their chunks stay short; rows by a tree and tile after tile.
    const int64_t each = columns ? chunk_for(length, count, 65536, 32, 128)
                                 : chunk_for(length, count, 256, 4 * kScanTile, 64 * kScanTile);
    const int64_t carry_bytes = 2 * count * static_cast<int64_t>(size_of(accumulator));  // totals and running ones
    const int64_t chunk = length <= each ? each : chunk_within_workspace(each, length, carry_bytes);
    const int64_t chunks = groups_of(length, chunk);
    ScanParams params{};
    params.rows = count;
    params.length = length;
    params.chunk = chunk;
    params.first[0] = x.first;
    params.first[1] = first_out;
    std::copy_n(step, 2, params.step);
    params.exclusive = exclusive;
    params.axes_count = fill_axes(params.axes, rows);
    const void* carries = chunks > 1 ? carries_of(count, chunk, chunks - 1) : nullptr;
    Launch launch("scan", std::string(columns ? "scan_columns_" : "scan_rows_") + short_name(accumulator));
    launch.in(x.low, x.bytes);
    carries ? launch.in(carries, static_cast<size_t>(count * (chunks - 1)) * size_of(accumulator)) : launch.none();
    launch.out(y, y_bytes)
        .params(params)
        .constant(0, static_cast<int32_t>(kind))
        .constant(1, static_cast<int32_t>(x.dtype))
        .constant(2, static_cast<int32_t>(out))
        .constant(3, is_wide(count))
        .constant(4, carries != nullptr)
        .run(groups_of(count, columns ? int{kScanThreads} : 1), static_cast<uint32_t>(chunks), 1, kScanThreads);
  }

 private:
  /// The running results of each row's first `full` chunks.
  const void* carries_of(int64_t count, int64_t chunk, int64_t full) const {
    const size_t bytes = static_cast<size_t>(count * full) * size_of(accumulator);
    void* totals = scratch(bytes);
    Shape kept = rows.shape;
    kept.push_back(full);
    Strides apart = rows.strides[0];
    apart.push_back(chunk * step[0]);
    const Strides along{step[0]};
    fold({x, collapse(kept, {&apart}), collapse({chunk}, {&along}), count * full, chunk, kind, false, accumulator},
         totals, accumulator);
    void* running = scratch(bytes);
    const Strides each{full};
    const ScanPass pass{Source(totals, count * full, accumulator),
                        collapse({count}, {&each, &each}),
                        full,
                        {1, 1},
                        0,
                        kind,
                        false,
                        accumulator};
    pass.run(running, bytes, accumulator);
    return running;
  }
};

}  // namespace

void run(const ArgReduce& p, Node& n) {
  const Node& x = *n.inputs[0].node();
  allocate_output(n);
  if (size_of(x.shape) == 0) return;
  ArgPass(p, x).run(nullptr, x.shape[static_cast<size_t>(p.axis)], reinterpret_cast<uint32_t*>(n.data()));
}

void run(const Scan& p, Node& n) {
  const Node& x = *n.inputs[0].node();
  allocate_output(n);
  const int64_t total = size_of(n.shape);
  if (total == 0) return;
  const auto axis = static_cast<size_t>(p.axis);
  const Strides in = without_axis(x.strides, p.axis), out = without_axis(n.strides, p.axis);
  ScanPass pass{Source(x),
                collapse(without_axis(x.shape, p.axis), {&in, &out}),
                x.shape[axis],
                {x.strides[axis], n.strides[axis]},
                0,
                p.product ? Fold::prod : Fold::sum,
                !p.inclusive,
                accumulator_of(n.dtype)};
  if (p.reverse) {
    pass.x.first += (pass.length - 1) * pass.step[0];
    pass.first_out = (pass.length - 1) * pass.step[1];
    for (int64_t& step : pass.step) step = -step;
  }
  pass.run(n.data(), static_cast<size_t>(total) * size_of(n.dtype), n.dtype);
}

void run(const Softmax&, Node& n) {
  constexpr int64_t kShortRow = 1024;  // 32 terms a lane
  const Node& x = *n.inputs[0].node();
  allocate_output(n);
  const int64_t total = size_of(n.shape);
  if (total == 0) return;
  const int last = static_cast<int>(n.shape.size()) - 1;
  const Strides apart = without_axis(x.strides, last);
  const Source in(x);
  SoftmaxParams params{};
  params.width = x.shape.back();
  params.rows = total / params.width;
  params.first = in.first;
  params.step = x.strides.back();
  params.axes_count = fill_axes(params.axes, collapse(without_axis(x.shape, last), {&apart}));
  const int lanes = params.width <= kShortRow ? 32 : kSoftmaxThreads;
  Launch("softmax", "softmax_rows")
      .in(in.low, in.bytes)
      .out(n)
      .params(params)
      .constant(0, static_cast<int32_t>(n.dtype))
      .constant(1, is_wide(params.rows))
      .constant(2, static_cast<int32_t>(lanes))
      .run(groups_of(params.rows, kSoftmaxThreads / lanes), 1, 1, kSoftmaxThreads);
}

}  // namespace nhwc::metal
