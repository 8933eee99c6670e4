// csrc/backend/metal/index.cpp -- Gather, Scatter, GatherAxis and ScatterAxis on the GPU
#include <cstring>

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

/// Offsets into an array, in scratch memory, one per tuple of indices.
class Places {
 public:
  /// `clear`: they begin at 0, which they stay where no index array is added.
  explicit Places(int64_t count, bool clear = false) : count(count), bytes_(static_cast<size_t>(count) * 8) {
    data = static_cast<int64_t*>(scratch(bytes_));
    if (clear) std::memset(data, 0, bytes_);  // before the GPU has seen it
  }

  /// Indices into an axis of `size` elements, `stride` apart. `base` are the strides, over the shape of the indices, of
  /// where they count from.
  void add(const Array& array, int64_t size, int64_t stride, int64_t axis, const Strides& base, const char* who) {
    const Node& indices = *array.node();
    const Source in(indices);
    PlacesParams params{};
    params.first = in.first;
    params.count = count;
    params.size = size;
    params.stride = stride;
    params.add = filled_;
    filled_ = true;
    params.axes_count = fill_axes(params.axes, collapse(indices.shape, {&indices.strides, &base}));
    auto bad = static_cast<uint32_t*>(scratch(4));
    *bad = 0;
    Launch("index", "index_places")
        .in(in.low, in.bytes)
        .out(data, bytes_)
        .out(bad, 4)
        .params(params)
        .constant(0, static_cast<int32_t>(in.dtype))
        .constant(1, 0)
        .constant(2, 0)
        .constant(3, is_wide(count))
        .run(groups_of(count, kIndexThreads), 1, 1, kIndexThreads);
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

  const int64_t count;
  int64_t* data;
  size_t bytes() const { return bytes_; }

 private:
  size_t bytes_;
  bool filled_ = false;
};

int64_t tuples(const Node& n, const Dims& axes) { return axes.empty() ? 1 : size_of(n.inputs[1].shape()); }

/// Of `strides` along every axis but one.
Strides others(const Strides& strides, int axis) {
  Strides s = strides;
  s[static_cast<size_t>(axis)] = 0;
  return s;
}

void gather(const Node& x, const Places& places, const Loop& slice, Node& n) {
  if (size_of(x.shape) == 0) return;  // every index is out of range
  const Source in(x);
  GatherParams params{};
  params.first = in.first;
  params.total = size_of(n.shape);
  params.slice = params.total / places.count;
  params.axes_count = fill_axes(params.axes, slice);
  Launch("index", std::string("gather_") + short_name(item_type(n.dtype)))
      .in(in.low, in.bytes)
      .in(places.data, places.bytes())
      .out(n)
      .params(params)
      .constant(0, 0)
      .constant(1, 0)
      .constant(2, 0)
      .constant(3, is_wide(params.total))
      .run(groups_of(params.total, kIndexThreads), 1, 1, kIndexThreads);
}

/// n, which has its first values, combined with `updates`, row-major: slices one after another.
void scatter(const Places& places, const Loop& slice, int64_t slice_size, const Node& updates, UpdateMode mode,
             Node& n) {
  if (size_of(n.shape) == 0) return;  // every index is out of range
  const SortedKeys sorted = sort_keys(places.data, places.count);
  const auto [dtype, accumulator] = combine_types(n.dtype, mode);
  const size_t bytes = static_cast<size_t>(places.count * slice_size) * size_of(n.dtype);
  const void* u = updates.data();
  if (!updates.row_major) {
    void* copy = scratch(bytes);
    copy_row_major(copy, updates);
    u = copy;
  }
  ScatterParams params{};
  params.count = places.count;
  params.slice = slice_size;
  params.axes_count = fill_axes(params.axes, slice);
  Launch("index", std::string("scatter_") + short_name(accumulator))
      .in(sorted.keys, places.bytes())
      .in(sorted.order, static_cast<size_t>(places.count) * 4)
      .in(u, bytes)
      .out(n)
      .params(params)
      .constant(0, static_cast<int32_t>(dtype))
      .constant(1, static_cast<int32_t>(dtype))
      .constant(2, static_cast<int32_t>(mode))
      .constant(3, is_wide(places.count * slice_size))
      .run(groups_of(places.count * slice_size, kIndexThreads), 1, 1, kIndexThreads);
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
  Places places(count, p.axes.empty());
  places.add_all(n, p.axes, x.shape, x.strides, "gather");
  if (size_of(n.shape) == 0) return;
  gather(x, places, collapse(p.slice_sizes, {&x.strides}), n);
}

void run(const Scatter& p, Node& n) {
  const Node& x = *n.inputs[0].node();
  const Node& updates = *n.inputs.back().node();
  allocate_output(n);
  copy_row_major(n.data(), x);
  const int64_t count = tuples(n, p.axes);
  if (count == 0) return;
  Places places(count, p.axes.empty());
  places.add_all(n, p.axes, n.shape, n.strides, "scatter");
  if (size_of(updates.shape) == 0) return;
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
  Places places(size_of(indices.shape));
  places.add(n.inputs[1], n.shape[axis], n.strides[axis], p.axis, others(n.strides, p.axis), "put_along_axis");
  scatter(places, one_element(), 1, *n.inputs[2].node(), p.mode, n);
}

}  // namespace nhwc::metal
