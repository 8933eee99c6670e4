// csrc/backend/cpu/reduce.cpp -- Reduce: sums, products, extrema over any set of axes
// The axes are split into kept and reduced ones. Whichever group holds the axis of adjacent elements decides the
// kernel: reduced: rows of the input are folded to one value each; kept: rows of the input are added to a row of
// accumulators. A long reduction is cut into groups of fixed size whose results are combined in order: the cut depends
// on the shape alone, so the result does not depend on the number of threads. What is not in memory as the kernels want
// it, another dtype or the result of an elementwise chain, is made tile by tile; the cuts are the same either way.
#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>
#include <vector>

#include "backend/cpu/elementwise_chain.h"
#include "backend/cpu/run.h"
#include "backend/cpu/strided.h"
#include "base/thread_pool.h"
#include "base/visit_dtype.h"
#include "kernels/table.h"
#include "nhwc/error.h"

namespace nhwc::cpu {
namespace {

constexpr int64_t kGroup = 65536;    // elements that one group combines, about: 20 us
constexpr int64_t kOutputs = 512;    // accumulators of a task: 4 KiB, in L1 beside the rows that are read
constexpr int64_t kTile = 4096;      // elements handed to a kernel at once, where order and width leave the choice
constexpr int64_t kRun = 64;         // rows that a kernel of columns adds up before the accumulators see them
constexpr int64_t kRowsAtOnce = 16;  // short rows that a kernel of rows takes together
constexpr int64_t kNarrow = 64;      // rows shorter than this are reduced several side by side

int index(Dtype t) { return static_cast<int>(t); }

/// What is computed: a kernel kind and the dtype the input is converted to.
struct Method {
  ReduceKind kind;
  Dtype from, dtype, accumulator;

  Method(ReduceKind k, Dtype in, Dtype out) : kind(k), from(in) {
    if (k == ReduceKind::all || k == ReduceKind::any) {
      kind = k == ReduceKind::all ? ReduceKind::min : ReduceKind::max;
      dtype = Dtype::bool_;
    } else {
      dtype = is_half(in) || is_half(out) ? Dtype::float32 : out;
    }
    accumulator = nhwc::accumulator(kind, dtype);
  }
};

/// The value that changes nothing, in the accumulator's type.
void fill_identity(const Method& m, char* acc, int64_t n) {
  visit_dtype(m.accumulator, [&]<class T>(T*) {
    T v{};
    using L = std::numeric_limits<Compute<T>>;
    if (m.kind == ReduceKind::prod)
      v = T(Compute<T>(1));
    else if (m.kind == ReduceKind::max)
      v = T(L::has_infinity ? -L::infinity() : L::lowest());
    else if (m.kind == ReduceKind::min)
      v = T(L::has_infinity ? L::infinity() : L::max());
    std::fill_n(reinterpret_cast<T*>(acc), n, v);
  });
}

class Reduction {
 public:
  /// Of the array `x` at `data`; where `chain` is given, of its result, which has x's shape and dtype.
  Reduction(const Method& m, const Node& x, const char* data, const Strides& strides, const Dims& axes, Node& out,
            const ChainProgram* chain = nullptr)
      : m_(m),
        out_(out),
        data_(data),
        chain_(chain),
        item_(static_cast<int64_t>(size_of(x.dtype))),
        acc_item_(static_cast<int64_t>(size_of(m.accumulator))) {
    Shape kept_shape, reduced_shape;
    Strides kept_strides;
    std::vector<std::pair<int64_t, int64_t>> reduced;  // stride, size; long strides first
    for (size_t a = 0; a < x.shape.size(); ++a) {
      if (std::find(axes.begin(), axes.end(), static_cast<int64_t>(a)) != axes.end()) {
        const auto shorter = [&](const auto& axis) { return std::abs(axis.first) < std::abs(strides[a]); };
        reduced.insert(std::find_if(reduced.begin(), reduced.end(), shorter), {strides[a], x.shape[a]});
      } else {
        kept_shape.push_back(x.shape[a]);
        kept_strides.push_back(strides[a]);
      }
    }
    Strides reduced_strides;
    for (auto [stride, size] : reduced) {
      reduced_shape.push_back(size);
      reduced_strides.push_back(stride);
    }
    kept_ = collapse(kept_shape, {&kept_strides});
    reduced_ = collapse(reduced_shape, {&reduced_strides});
  }

  /// False where no axis has adjacent elements: the caller copies first.
  bool supported() const { return reduced_.strides[0].back() == 1 || kept_.strides[0].back() == 1; }

  void run() {
    const auto& k = kernels().elementwise;
    cast_in_ = m_.from == m_.dtype ? nullptr : k.cast[index(m_.from)][index(m_.dtype)];
    cast_out_ = k.cast[index(m_.accumulator)][index(out_.dtype)];
    rows_ = k.rows[static_cast<int>(m_.kind)][index(m_.dtype)];
    columns_ = k.columns[static_cast<int>(m_.kind)][index(m_.dtype)];
    combine_ = k.columns[static_cast<int>(m_.kind)][index(m_.accumulator)];
    by_rows_ = reduced_.strides[0].back() == 1 && (reduced_.inner() > 1 || kept_.strides[0].back() != 1);
    cut();
    if (!by_rows_) fill_identity(m_, identity_, segment_ < kNarrow ? kOutputs : segment_);

    const int64_t outputs = size_of(out_.shape), spans = kept_outer_ * segments_;
    const int64_t cost = segment_ * std::min(kGroup, lines_.empty() ? 1 : static_cast<int64_t>(lines_.size()) * piece_);
    const int64_t grain = std::max<int64_t>(
        1, kGroup / std::max<int64_t>(cost * (chain_ ? std::max<int64_t>(chain_->weight() / 4, 1) : 1), 1));
    if (groups_ == 1) {
      parallel_for(spans, grain, [&](int64_t b, int64_t e) { tasks(b, e, 0, nullptr); });
      return;
    }
    Scratch partial(static_cast<size_t>(groups_ * outputs * acc_item_));
    parallel_for(spans * groups_, grain, [&](int64_t b, int64_t e) {
      for (int64_t i = b; i < e; ++i)
        tasks(i % spans, i % spans + 1, i / spans, partial.as<char>() + i / spans * outputs * acc_item_);
    });
    parallel_for(outputs, kOutputs, [&](int64_t b, int64_t e) {
      char* first = partial.as<char>() + b * acc_item_;
      combine_(first + outputs * acc_item_, outputs, groups_ - 1, e - b, first);
      cast_out_(first, out_.data() + b * static_cast<int64_t>(size_of(out_.dtype)), e - b);
    });
  }

 private:
  /// Lines (the innermost reduced axis at one position of the others, in pieces), groups of lines, segments of outputs.
  void cut() {
    const int64_t n = reduced_.inner(), kept_inner = kept_.inner();
    segment_ = std::min(kept_inner, kOutputs);
    piece_ = std::min(n, by_rows_ ? kGroup : std::max<int64_t>(64, kGroup / segment_));
    Walk w(reduced_, reduced_.ndim() - 1, 0);
    int64_t outer = 1;
    for (int a = 0; a + 1 < reduced_.ndim(); ++a) outer *= reduced_.shape[a];
    lines_.reserve(static_cast<size_t>(outer * ((n + piece_ - 1) / piece_)));
    for (int64_t i = 0; i < outer; ++i, w.next())
      for (int64_t at = 0; at < n; at += piece_)
        lines_.push_back({w.offset[0] + at * reduced_.strides[0].back(), std::min(piece_, n - at)});
    per_group_ = std::max<int64_t>(1, kGroup / (by_rows_ ? piece_ : piece_ * segment_));
    groups_ = std::max<int64_t>(1, (static_cast<int64_t>(lines_.size()) + per_group_ - 1) / per_group_);
    if (by_rows_) segment_ = std::clamp<int64_t>(kGroup / std::max<int64_t>(n * outer, 1), 1, segment_);
    segments_ = (kept_inner + segment_ - 1) / segment_;
    kept_outer_ = 1;
    for (int a = 0; a + 1 < kept_.ndim(); ++a) kept_outer_ *= kept_.shape[a];
  }

  /// Makes tiles, for one thread. Where the kernels read the array in place it has nothing to do.
  class Tiles {
   public:
    Tiles(const Reduction& r, int64_t elements)
        : r_(r),
          made_(r.cast_in_ || r.chain_ ? static_cast<size_t>(elements) * size_of(r.m_.dtype) : 0),
          stored_(r.cast_in_ && r.chain_ ? static_cast<size_t>(elements * r.item_) : 0) {
      if (r.chain_) worker_.emplace(*r.chain_, elements);
    }
    bool in_place() const { return !made_.as<char>(); }
    /// `rows` rows of n elements, `step` apart, that begin at element x; they follow `distance` elements on each other.
    const char* rows(int64_t x, int64_t step, int64_t rows, int64_t n, int64_t& distance) {
      distance = in_place() ? step : n;
      if (in_place()) return r_.data_ + x * r_.item_;
      const auto size = static_cast<int64_t>(size_of(r_.m_.dtype));
      if (step == n) {
        make(x, rows * n, made_.as<char>());
      } else {
        for (int64_t i = 0; i < rows; ++i) make(x + i * step, n, made_.as<char>() + i * n * size);
      }
      return made_.as<char>();
    }

   private:
    void make(int64_t x, int64_t n, char* to) {
      const char* from = r_.chain_ ? stored_.as<char>() : r_.data_ + x * r_.item_;
      if (worker_) worker_->compute(x, n, r_.cast_in_ ? stored_.as<char>() : to);
      if (r_.cast_in_) r_.cast_in_(from, to, n);
    }
    const Reduction& r_;
    const Scratch made_, stored_;
    std::optional<ChainWorker> worker_;
  };

  /// Rows of m columns in a tile. Where the array could also be read in place, whole runs: the same sums either way.
  int64_t tile_rows(int64_t m) const {
    return cast_in_ ? std::max<int64_t>(1, kTile / m) : std::max(kRun, kTile / m / kRun * kRun);
  }

  /// Spans [b, e) of outputs for one group of lines, into `partial` (accumulators of all outputs) or, converted, the
  /// result.
  void tasks(int64_t b, int64_t e, int64_t group, char* partial) const {
    alignas(64) char acc[kOutputs * 8];
    const int64_t kept_inner = kept_.inner(), step = kept_.strides[0].back();
    const auto first = static_cast<size_t>(group * per_group_);
    const size_t last = std::min(lines_.size(), first + static_cast<size_t>(per_group_));
    const int64_t widest = segment_ < kNarrow ? kOutputs : segment_;
    Tiles tiles(*this, by_rows_ ? kTile : std::max(kTile, tile_rows(widest) * widest));
    Walk w(kept_, kept_.ndim() - 1, b / segments_);
    for (int64_t s = b; s < e; ++s) {
      const int64_t at = s % segments_ * segment_, m = std::min(segment_, kept_inner - at);
      const int64_t output = s / segments_ * kept_inner + at;
      char* into = partial ? partial + output * acc_item_ : acc;
      const int64_t x = w.offset[0] + at * step;
      if (!by_rows_) std::memcpy(into, identity_, static_cast<size_t>(m * acc_item_));
      for (size_t l = first; l < last; ++l) {
        const int64_t line = x + lines_[l].offset;
        if (by_rows_)
          rows_line(tiles, line, step, m, lines_[l].length, into, l == first);
        else
          columns_line(tiles, line, m, lines_[l].length, into);
      }
      if (!partial) cast_out_(acc, out_.data() + output * static_cast<int64_t>(size_of(out_.dtype)), m);
      if (s % segments_ == segments_ - 1) w.next();
    }
  }

  void rows_line(Tiles& tiles, int64_t x, int64_t step, int64_t m, int64_t n, char* acc, bool first) const {
    alignas(64) char part[kOutputs * 8];
    const int64_t tile = std::min(n, kTile), fitting = kTile / std::max<int64_t>(tile, 1);
    const int64_t together = fitting < kRowsAtOnce ? fitting : fitting / kRowsAtOnce * kRowsAtOnce;
    for (int64_t r = 0; r < m; r += together) {
      const int64_t rows = std::min(together, m - r);
      for (int64_t at = 0; at < n; at += tile) {
        const int64_t length = std::min(tile, n - at);
        const bool begins = first && at == 0;
        int64_t distance;
        const char* from = tiles.rows(x + r * step + at, step, rows, length, distance);
        rows_(from, distance, rows, length, begins ? acc + r * acc_item_ : part);
        if (!begins) combine_(part, 0, 1, rows, acc + r * acc_item_);
      }
    }
  }

  /// acc[0..m) combined with n rows that are reduced_.strides apart.
  void columns_line(Tiles& tiles, int64_t x, int64_t m, int64_t n, char* acc) const {
    const int64_t step = reduced_.strides[0].back();
    if (step != m || m >= kNarrow || n < 2 * (kNarrow / m)) return columns(tiles, x, step, m, n, acc);
    // Adjacent short rows: several side by side make one long one, folded at the end.
    alignas(64) char wide[kOutputs * 8];
    const int64_t k = std::min(kOutputs / m, n);
    std::memcpy(wide, identity_, static_cast<size_t>(k * m * acc_item_));
    columns(tiles, x, k * m, k * m, n / k, wide);
    combine_(wide, m, k, m, acc);
    if (n % k) columns(tiles, x + n / k * k * m, m, m, n % k, acc);
  }
  void columns(Tiles& tiles, int64_t x, int64_t step, int64_t m, int64_t n, char* acc) const {
    const int64_t together = tile_rows(m);
    for (int64_t r = 0; r < n; r += together) {
      const int64_t rows = std::min(together, n - r);
      int64_t distance;
      const char* from = tiles.rows(x + r * step, step, rows, m, distance);
      columns_(from, distance, rows, m, acc);
    }
  }

  alignas(64) char identity_[kOutputs * 8];
  struct Line {
    int64_t offset, length;
  };
  const Method& m_;
  Node& out_;
  const char* data_;
  const ChainProgram* chain_;
  int64_t item_, acc_item_;
  Loop kept_, reduced_;
  bool by_rows_ = false;
  ElementwiseKernels::Unary cast_in_ = nullptr, cast_out_ = nullptr;
  ElementwiseKernels::ReduceRows rows_ = nullptr;
  ElementwiseKernels::ReduceColumns columns_ = nullptr, combine_ = nullptr;
  std::vector<Line> lines_;
  int64_t piece_ = 0, per_group_ = 0, groups_ = 0, segment_ = 0, segments_ = 0, kept_outer_ = 0;
};

/// The reductions of no elements.
void reduce_nothing(const Method& m, Node& n) {
  const int64_t outputs = size_of(n.shape);
  Scratch acc(static_cast<size_t>(outputs) * size_of(m.accumulator));
  fill_identity(m, acc.as<char>(), outputs);
  kernels().elementwise.cast[index(m.accumulator)][index(n.dtype)](acc.as<char>(), n.data(), outputs);
}

}  // namespace

void run(const Reduce& p, Node& n, bool) {
  const Node& x = *n.inputs[0].node();
  allocate_output(n);
  const Method method(p.kind, x.dtype, n.dtype);
  if (size_of(n.shape) == 0) return;
  if (size_of(x.shape) == 0) return reduce_nothing(method, n);
  Reduction in_place(method, x, x.data(), x.strides, p.axes, n);
  if (in_place.supported()) {
    in_place.run();
    return;
  }
  const RowMajor copy(x);
  Reduction(method, x, copy.data(), contiguous_strides(x.shape), p.axes, n).run();
}

void run_reduced_chain(const Reduce& p, const Chain& chain, Node& n) {
  const Node& x = *chain.ops.back().node;
  allocate_output(n);
  const Method method(p.kind, x.dtype, n.dtype);
  if (size_of(n.shape) == 0) return;
  if (size_of(x.shape) == 0) return reduce_nothing(method, n);
  const ChainProgram program(chain);
  Reduction(method, x, nullptr, contiguous_strides(x.shape), p.axes, n, &program).run();
}

}  // namespace nhwc::cpu
