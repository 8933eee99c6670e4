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

/// Keys and places of runs.
struct Runs {
  void* keys;
  uint32_t* places;
};

class Sorter {
 public:
  /// `rows` are the rows in x and y.
  Sorter(const Source& x, const Loop& rows, int64_t row_count, int64_t length, int64_t step_in, int64_t step_out)
      : x_(x), key_(size_of(x.dtype) == 8 ? Dtype::uint64 : Dtype::uint32) {
    if (is_wide(length))
      raise<ValueError>("[sort] ", length, " elements along an axis; the GPU sorts at most 2^32 - 1");
    params_.rows = row_count;
    params_.length = length;
    params_.first = x.first;
    params_.step[0] = step_in;
    params_.step[1] = step_out;
    params_.width = static_cast<int32_t>(std::min<uint64_t>(kSortBlock, std::bit_ceil(static_cast<uint64_t>(length))));
    params_.axes_count = fill_axes(params_.axes, rows);
  }

  /// Into y, of y_bytes: values, or places. Null: what is returned has keys and places instead.
  Runs run(void* y, size_t y_bytes, bool indices) {
    const int64_t length = params_.length, width = params_.width;
    Runs runs = block(length <= width ? y : nullptr, y_bytes, indices);
    for (params_.run = width; params_.run < length; params_.run *= 2)
      runs = merge(runs, 2 * params_.run >= length ? y : nullptr, y_bytes, indices);
    return runs;
  }

 private:
  int64_t total() const { return params_.rows * params_.length; }

  /// Binds y where it is given, else new runs, at indices 1 to 3.
  Runs out(Launch& launch, void* y, size_t y_bytes) {
    if (y) {
      launch.out(y, y_bytes).none().none();
      return {};
    }
    const size_t key_bytes = static_cast<size_t>(total()) * size_of(key_),
                 place_bytes = static_cast<size_t>(total()) * 4;
    const Runs runs{scratch(key_bytes), static_cast<uint32_t*>(scratch(place_bytes))};
    launch.none().out(runs.keys, key_bytes).out(runs.places, place_bytes);
    return runs;
  }
  Launch begin(const char* kernel, bool final, bool indices) const {
    Launch launch("sort", std::string(kernel) + short_name(key_));
    launch.in(x_.low, x_.bytes)
        .params(params_)
        .constant(0, static_cast<int32_t>(x_.dtype))
        .constant(1, static_cast<int32_t>(item_type(x_.dtype)))
        .constant(2, final)
        .constant(3, indices)
        .constant(4, is_wide(params_.rows));
    return launch;
  }
  Runs block(void* y, size_t y_bytes, bool indices) {
    Launch launch = begin("sort_block_", y, indices);
    const Runs runs = out(launch, y, y_bytes);
    launch.run(groups_of(params_.length, params_.width), groups_of(params_.rows, kSortBlock / params_.width), 1,
               kSortThreads);
    return runs;
  }
  Runs merge(const Runs& from, void* y, size_t y_bytes, bool indices) {
    Launch launch = begin("sort_merge_", y, indices);
    const Runs runs = out(launch, y, y_bytes);
    launch.in(from.keys, static_cast<size_t>(total()) * size_of(key_))
        .in(from.places, static_cast<size_t>(total()) * 4)
        .run(groups_of(params_.length, int{kSortThreads} * kMergeEach), static_cast<uint32_t>(params_.rows), 1,
             kSortThreads);
    return runs;
  }

  Source x_;
  Dtype key_;
  SortParams params_{};
};

}  // namespace

SortedKeys sort_keys(const int64_t* keys, int64_t count) {
  const Strides none{1};
  const Loop one_row = collapse({1}, {&none, &none});
  const Runs runs = Sorter(Source(keys, count, Dtype::uint64), one_row, 1, count, 1, 1).run(nullptr, 0, false);
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
