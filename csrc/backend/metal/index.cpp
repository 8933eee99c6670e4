// csrc/backend/metal/index.cpp -- Gather, Scatter, GatherAxis and ScatterAxis on the GPU
#include <algorithm>
#include <cstring>
#include <vector>

#include "backend/metal/axes.h"
#include "backend/metal/combine.h"
#include "backend/metal/run.h"
#include "backend/metal/sort.h"
#include "base/visit_dtype.h"
#include "nhwc/error.h"
#include "params/index.h"

namespace nhwc::metal {
namespace {

/// Raises for the first index, in row-major order, that is out of range.
void raise_first(const Node& indices, int64_t size, int64_t axis, const char* who) {
  const int64_t n = size_of(indices.shape);
  visit_dtype(indices.dtype, [&]<class T>(T*) {
    for (int64_t i = 0; i < n; ++i) {
      int64_t at = i, from = 0;
      for (size_t a = indices.shape.size(); a-- > 0; at /= indices.shape[a])
        from += at % indices.shape[a] * indices.strides[a];
      const int64_t given = convert<int64_t>(reinterpret_cast<const T*>(indices.data())[from]);
      const int64_t v = given < 0 && std::is_signed_v<T> ? given + size : given;
      if (v < 0 || v >= size)
        raise<IndexError>("[", who, "] index ", given, " is out of range for axis ", axis, " of size ", size,
                          "; expected ", -size, " to ", size - 1);
    }
  });
}

/// Offsets into an array, one per tuple of indices, for a block of tuples at a time.
class Places {
 public:
  /// Of `count` tuples; with each of a block, `beside` bytes of other scratch are used.
  explicit Places(int64_t count, size_t beside = 0) : count_(count) {
    constexpr int64_t kLeast = 1024;  // a smaller block is not worth a dispatch
    most_ = at_once(count, sizeof(int64_t) + beside, kLeast);
  }

  /// Indices into an axis of `size` elements, `stride` apart. `base` are the strides, over the shape of the indices, of
  /// where they count from.
  void add(const Array& array, int64_t size, int64_t stride, int64_t axis, const Strides& base, const char* who) {
    const Node& indices = *array.node();
    auto bad = static_cast<uint32_t*>(shared_scratch(sizeof(uint32_t)));
    *bad = 0;
    arrays_.push_back({Source(indices), size, stride, collapse(indices.shape, {&indices.strides, &base}), bad});
    current_step().checks.push_back([bad, array, size, axis, who] {
      if (*bad) raise_first(*array.node(), size, axis, who);
    });
  }
  /// One array of indices for each of `axes` of an array.
  void add_all(const Node& n, const Dims& axes, const Shape& shape, const Strides& strides, const char* who) {
    for (size_t k = 0; k < axes.size(); ++k) {
      const auto axis = static_cast<size_t>(axes[k]);
      const Array& indices = n.inputs[1 + k];
      add(indices, shape[axis], strides[axis], axes[k], Strides(indices.shape().size(), 0), who);
    }
  }

  int64_t count() const { return count_; }
  /// Tuples of a block; the last one may have fewer.
  int64_t block() const { return most_; }

  /// Encodes f(the places of `tuples` tuples from `begin` on, begin, tuples) for block after block.
  template <class F>
  void for_blocks(const F& f) {
    data_ = static_cast<int64_t*>(arrays_.empty() ? shared_scratch(bytes_of(most_)) : scratch(bytes_of(most_)));
    if (arrays_.empty()) std::memset(data_, 0, bytes_of(most_));  // one tuple, of no indices
    for (int64_t begin = 0; begin < count_; begin += most_) {
      const int64_t tuples = std::min(most_, count_ - begin);
      for (size_t k = 0; k < arrays_.size(); ++k) locate(arrays_[k], k > 0, begin, tuples);
      f(data_, begin, tuples);
    }
  }

  static size_t bytes_of(int64_t tuples) { return static_cast<size_t>(tuples) * sizeof(int64_t); }

 private:
  struct Indices {
    Source in;
    int64_t size, stride;
    Loop loop;
    uint32_t* bad;
  };
  void locate(const Indices& i, bool add, int64_t begin, int64_t tuples) const {
    PlacesParams params{};
    params.first = i.in.first;
    params.begin = begin;
    params.count = tuples;
    params.size = i.size;
    params.stride = i.stride;
    params.add = add;
    params.axes_count = fill_axes(params.axes, i.loop);
    Launch("index", "index_places")
        .in(i.in.low, i.in.bytes)
        .out(data_, bytes_of(tuples))
        .out(i.bad, sizeof(uint32_t))
        .params(params)
        .constant(0, static_cast<int32_t>(i.in.dtype))
        .constant(1, 0)
        .constant(2, 0)
        .constant(3, is_wide(count_))
        .run(groups_of(tuples, kIndexThreads), 1, 1, kIndexThreads);
  }

  int64_t count_, most_;
  int64_t* data_ = nullptr;
  std::vector<Indices> arrays_;
};

int64_t tuples(const Node& n, const Dims& axes) { return axes.empty() ? 1 : size_of(n.inputs[1].shape()); }

/// Of `strides` along every axis but one.
Strides others(const Strides& strides, int axis) {
  Strides s = strides;
  s[static_cast<size_t>(axis)] = 0;
  return s;
}

void gather(const Node& x, Places& places, const Loop& slice, Node& n) {
  if (size_of(x.shape) == 0) return places.for_blocks([](auto...) {});  // every index is out of range
  const Source in(x);
  GatherParams params{};
  params.first = in.first;
  params.slice = size_of(n.shape) / places.count();
  params.axes_count = fill_axes(params.axes, slice);
  const size_t item = size_of(n.dtype);
  places.for_blocks([&](const int64_t* data, int64_t begin, int64_t tuples) {
    params.total = tuples * params.slice;
    Launch("index", std::string("gather_") + short_name(item_type(n.dtype)))
        .in(in.low, in.bytes)
        .in(data, Places::bytes_of(tuples))
        .out(n.data() + static_cast<size_t>(begin * params.slice) * item, static_cast<size_t>(params.total) * item)
        .params(params)
        .constant(0, 0)
        .constant(1, 0)
        .constant(2, 0)
        .constant(3, is_wide(params.total))
        .run(groups_of(params.total, kIndexThreads), 1, 1, kIndexThreads);
  });
}

/// n, which has its first values, combined with `updates`: slices one after another.
void scatter(Places& places, const Loop& slice, int64_t slice_size, const Node& updates, UpdateMode mode, Node& n) {
  if (size_of(n.shape) == 0) return places.for_blocks([](auto...) {});  // every index is out of range
  const auto [dtype, accumulator] = combine_types(n.dtype, mode);
  const Source in(updates);
  ScatterParams params{};
  params.slice = slice_size;
  params.first = in.first;
  params.axes_count = fill_axes(params.axes, slice);
  params.update_axes_count = fill_axes(params.update_axes, collapse(updates.shape, {&updates.strides}));
  const KeySorter sorter(places.block());
  places.for_blocks([&](const int64_t* data, int64_t begin, int64_t tuples) {
    const SortedKeys sorted = sorter.sort(data, tuples);
    params.begin = begin;
    params.count = tuples;
    Launch("index", std::string("scatter_") + short_name(accumulator))
        .in(sorted.keys, Places::bytes_of(tuples))
        .in(sorted.order, static_cast<size_t>(tuples) * sizeof(uint32_t))
        .in(in.low, in.bytes)
        .out(n)
        .params(params)
        .constant(0, static_cast<int32_t>(dtype))
        .constant(1, static_cast<int32_t>(dtype))
        .constant(2, static_cast<int32_t>(mode))
        .constant(3, is_wide(places.count() * slice_size))
        .run(groups_of(tuples * slice_size, kIndexThreads), 1, 1, kIndexThreads);
  });
}

Loop one_element() {
  const Strides none{};
  return collapse({}, {&none});
}

}  // namespace

void run(const Gather& p, Node& n) {
  const Node& x = *n.inputs[0].node();
  allocate_output(n);
  const int64_t count = tuples(n, p.axes);
  if (count == 0) return;
  Places places(count);
  places.add_all(n, p.axes, x.shape, x.strides, "gather");
  if (size_of(n.shape) == 0) return places.for_blocks([](auto...) {});
  gather(x, places, collapse(p.slice_sizes, {&x.strides}), n);
}

void run(const Scatter& p, Node& n) {
  const Node& x = *n.inputs[0].node();
  const Node& updates = *n.inputs.back().node();
  allocate_output(n);
  copy_row_major(n.data(), x);
  const int64_t count = tuples(n, p.axes);
  if (count == 0) return;
  Places places(count, KeySorter::kBytes);
  places.add_all(n, p.axes, n.shape, n.strides, "scatter");
  if (size_of(updates.shape) == 0) return places.for_blocks([](auto...) {});
  const Shape slice(updates.shape.end() - x.shape.size(), updates.shape.end());
  scatter(places, collapse(slice, {&n.strides}), size_of(slice), updates, p.mode, n);
}

void run(const GatherAxis& p, Node& n) {
  const Node& x = *n.inputs[0].node();
  allocate_output(n);
  if (size_of(n.shape) == 0) return;
  const auto axis = static_cast<size_t>(p.axis);
  Places places(size_of(n.shape));
  places.add(n.inputs[1], x.shape[axis], x.strides[axis], p.axis, others(x.strides, p.axis), "take_along_axis");
  gather(x, places, one_element(), n);
}

void run(const ScatterAxis& p, Node& n) {
  const Node& indices = *n.inputs[1].node();
  const auto axis = static_cast<size_t>(p.axis);
  allocate_output(n);
  copy_row_major(n.data(), *n.inputs[0].node());
  if (size_of(indices.shape) == 0) return;
  Places places(size_of(indices.shape), KeySorter::kBytes);
  places.add(n.inputs[1], n.shape[axis], n.strides[axis], p.axis, others(n.strides, p.axis), "put_along_axis");
  scatter(places, one_element(), 1, *n.inputs[2].node(), p.mode, n);
}

}  // namespace nhwc::metal
