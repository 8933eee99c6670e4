// csrc/backend/metal/sort.cpp -- Sort on the GPU: blocks, then passes that merge runs two by two
#include "backend/metal/sort.h"

#include <algorithm>
#include <bit>
#include <string>

#include "backend/metal/axes.h"
#include "backend/metal/run.h"
#include "nhwc/error.h"
#include "params/sort.h"

namespace nhwc::metal {
namespace {

Runs scratch_runs(int64_t elements, Dtype key) {
  return {scratch(static_cast<size_t>(elements) * size_of(key)),
          static_cast<uint32_t*>(scratch(static_cast<size_t>(elements) * sizeof(uint32_t)))};
}

class Sorter {
 public:
  /// `rows` are the rows in x and y.
  Sorter(const Source& x, const Loop& rows, int64_t row_count, int64_t length, int64_t step_in, int64_t step_out)
      : x_(x), key_(size_of(x.dtype) == 8 ? Dtype::uint64 : Dtype::uint32), rows_(row_count), length_(length) {
    if (is_wide(length))
      raise<ValueError>("[sort] ", length, " elements along an axis; the GPU sorts at most 2^32 - 1");
    params_.first = x.first;
    params_.step[0] = step_in;
    params_.step[1] = step_out;
    params_.axes_count = fill_axes(params_.axes, rows);
  }

  /// All rows into y, of y_bytes: values, or places. So many of them at a time, or parts of one, as the workspace
  /// holds.
  void run(void* y, size_t y_bytes, bool indices) {
    y_ = y, y_bytes_ = y_bytes, indices_ = indices;
    if (length_ <= kSortBlock) {
      sort_rows(0, rows_);
      return;
    }
    const int64_t most = at_once(rows_ * length_, 2 * (size_of(key_) + sizeof(uint32_t)), kSortBlock);
    for (Runs& r : turns_) r = scratch_runs(most, key_);
    if (length_ > most) {
      for (int64_t row = 0; row < rows_; ++row) sort_parts(row, most);
      return;
    }
    for (int64_t row = 0, each = most / length_; row < rows_; row += each) sort_rows(row, std::min(each, rows_ - row));
  }

  /// The one row's keys and places.
  Runs run_keys(const Runs (&turns)[2]) {
    std::copy_n(turns, 2, turns_);
    return sort_rows(0, rows_);
  }

 private:
  int64_t total() const { return params_.rows * params_.length; }
  size_t key_bytes() const { return static_cast<size_t>(total()) * size_of(key_); }
  size_t place_bytes() const { return static_cast<size_t>(total()) * sizeof(uint32_t); }

  Runs sort_rows(int64_t row, int64_t count) {
    params_.row = row, params_.rows = count, params_.at = 0;
    return sort(length_, false);
  }
  /// Rows of `length`, into y where there is one: those of x, or `part`, which is in the first turn.
  Runs sort(int64_t length, bool part) {
    params_.length = length;
    params_.width = static_cast<int32_t>(std::min<uint64_t>(kSortBlock, std::bit_ceil(static_cast<uint64_t>(length))));
    part_ = part;
    turn_ = part ? 0 : 1;
    Runs runs = block(length <= params_.width);
    for (params_.run = params_.width; params_.run < length; params_.run *= 2)
      runs = merge(runs, 2 * params_.run >= length);
    return runs;
  }

  /// Row `row` in parts of `most` elements.
  void sort_parts(int64_t row, int64_t most) {
    params_.row = row, params_.rows = 1;
    const int64_t parts = groups_of(length_, most);
    auto* cuts = static_cast<SortCut*>(shared_scratch(static_cast<size_t>(parts + 1) * sizeof(SortCut)));
    const size_t counters = static_cast<size_t>(kSortBuckets + parts);
    auto* counts = static_cast<uint32_t*>(shared_scratch(counters * sizeof(uint32_t)));
    std::fill_n(counts, counters, 0);
    for (int64_t i = 0; i <= parts; ++i) cuts[i] = {0, 0, static_cast<uint32_t>(std::min(i * most, length_ - 1))};
    for (int64_t i = 0; i < parts; ++i) {
      params_.length = length_;
      params_.last = i + 1 == parts;
      if (!params_.last) find_cut(cuts + i + 1, counts);
      params_.at = i * most;
      const int64_t length = std::min(most, length_ - params_.at);
      on_row("sort_part_")
          .in(cuts + i, 2 * sizeof(SortCut))
          .out(counts + kSortBuckets + i, sizeof(uint32_t))
          .out(turns_[0].keys, static_cast<size_t>(length) * size_of(key_))
          .out(turns_[0].places, static_cast<size_t>(length) * sizeof(uint32_t))
          .params(params_)
          .run(row_groups(), 1, 1, kSortThreads);
      sort(length, true);
    }
  }
  /// The key and place of the element whose rank `cut` has, from their highest digits on.
  void find_cut(SortCut* cut, uint32_t* counts) {
    const auto digit = [&](int shift, bool of_place) {
      params_.shift = shift;
      params_.of_place = of_place;
      constexpr size_t kCounts = kSortBuckets * sizeof(uint32_t);
      on_row("sort_count_")
          .in(cut, sizeof *cut)
          .out(counts, kCounts)
          .params(params_)
          .run(row_groups(), 1, 1, kSortThreads);
      Launch("sort", "sort_digit").out(cut, sizeof *cut).out(counts, kCounts).params(params_).run(1, 1, 1, 1);
    };
    for (int shift = 8 * static_cast<int>(size_of(key_)) - 8; shift >= 0; shift -= 8) digit(shift, false);
    for (int shift = 24; shift >= 0; shift -= 8)
      if ((length_ - 1) >> shift > 0 || shift == 0) digit(shift, true);
  }
  /// Enough groups to fill a GPU, each with work enough for its counters.
  uint32_t row_groups() const { return std::min<uint32_t>(1024, groups_of(length_, int64_t{kSortThreads} * 8)); }

  Launch launch(const char* kernel) const { return Launch("sort", std::string(kernel) + short_name(key_)); }
  Launch on_row(const char* kernel) const {
    Launch l = launch(kernel);
    l.in(x_.low, x_.bytes).constant(0, static_cast<int32_t>(x_.dtype)).constant(4, is_wide(rows_));
    return l;
  }
  /// With where results go, at indices 1 to 3: into y, or into the other turn.
  Launch begin(const char* kernel, bool last, Runs& runs) {
    const bool final = last && y_;
    Launch l = on_row(kernel);
    l.params(params_)
        .constant(1, static_cast<int32_t>(item_type(x_.dtype)))
        .constant(2, final)
        .constant(3, indices_)
        .constant(5, part_);
    turn_ ^= 1;
    if (final) {
      l.out(y_, y_bytes_).none().none();
    } else {
      runs = turns_[turn_];
      l.none().out(runs.keys, key_bytes()).out(runs.places, place_bytes());
    }
    return l;
  }
  Launch& bind(Launch& l, const Runs& from) const {
    return l.in(from.keys, key_bytes()).in(from.places, place_bytes());
  }
  Runs block(bool last) {
    const Runs from = turns_[0];
    Runs runs;
    Launch l = begin("sort_block_", last, runs);
    part_ ? bind(l, from) : l.none().none();
    l.run(groups_of(params_.length, params_.width), groups_of(params_.rows, kSortBlock / params_.width), 1,
          kSortThreads);
    return runs;
  }
  Runs merge(const Runs& from, bool last) {
    Runs runs;
    Launch l = begin("sort_merge_", last, runs);
    bind(l, from).run(groups_of(params_.length, int{kSortThreads} * kMergeEach), static_cast<uint32_t>(params_.rows), 1,
                      kSortThreads);
    return runs;
  }

  Source x_;
  Dtype key_;
  int64_t rows_, length_;
  void* y_ = nullptr;  // none: keys and places are wanted
  size_t y_bytes_ = 0;
  bool indices_ = false, part_ = false;
  Runs turns_[2];
  int turn_ = 0;  // the last one written
  SortParams params_{};
};

}  // namespace

KeySorter::KeySorter(int64_t most) {
  for (Runs& r : turns_) r = scratch_runs(most, Dtype::uint64);
}

SortedKeys KeySorter::sort(const int64_t* keys, int64_t count) const {
  const Strides none{1};
  const Loop one_row = collapse({1}, {&none, &none});
  const Runs runs = Sorter(Source(keys, count, Dtype::uint64), one_row, 1, count, 1, 1).run_keys(turns_);
  return {static_cast<const uint64_t*>(runs.keys), runs.places};
}

void run(const Sort& p, Node& n) {
  const Node& x = *n.inputs[0].node();
  allocate_output(n);
  const int64_t total = size_of(x.shape);
  if (total == 0) return;
  const auto axis = static_cast<size_t>(p.axis);
  const Strides in = without_axis(x.strides, p.axis), out = without_axis(n.strides, p.axis);
  const int64_t length = x.shape[axis];
  Sorter(Source(x), collapse(without_axis(x.shape, p.axis), {&in, &out}), total / length, length, x.strides[axis],
         n.strides[axis])
      .run(n.data(), static_cast<size_t>(total) * size_of(n.dtype), p.indices);
}

}  // namespace nhwc::metal
