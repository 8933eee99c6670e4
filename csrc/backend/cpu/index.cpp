// csrc/backend/cpu/index.cpp -- Gather, Scatter, GatherAxis, ScatterAxis: places given by index arrays
// Every index is checked before anything is written. Scatters go in the order of the updates on one thread: where
// places repeat, the result is defined by that order.
#include <cstring>

#include "backend/cpu/combine.h"
#include "backend/cpu/run.h"
#include "backend/cpu/strided.h"
#include "base/interrupt.h"
#include "base/thread_pool.h"
#include "base/visit_dtype.h"
#include "nhwc/error.h"

namespace nhwc::cpu {
namespace {

/// The values of an index array in row-major order, made non-negative and checked against `size`; f(i, value) takes
/// them.
template <class F>
void each_index(const Node& indices, int64_t size, int64_t axis, const char* who, const F& f) {
  const RowMajor in(indices);
  const int64_t n = size_of(indices.shape);
  visit_dtype(indices.dtype, [&]<class T>(T*) {
    auto p = reinterpret_cast<const T*>(in.data());
    for (int64_t i = 0; i < n; ++i) {
      const int64_t given = convert<int64_t>(p[i]);
      const int64_t v = given < 0 && std::is_signed_v<T> ? given + size : given;
      if (v < 0 || v >= size)
        raise<IndexError>("[", who, "] index ", given, " is out of range for axis ", axis, " of size ", size,
                          "; expected ", -size, " to ", size - 1);
      f(i, v);
    }
  });
}

/// Element offsets into an array of these strides, one per tuple of indices.
class Places {
 public:
  Places(const Node& n, size_t first_index, const Dims& axes, const Shape& shape, const Strides& strides,
         const char* who)
      : count(axes.empty() ? 1 : size_of(n.inputs[first_index].shape())), offsets_(static_cast<size_t>(count) * 8) {
    at = offsets_.as<int64_t>();
    std::fill_n(offsets_.as<int64_t>(), count, 0);
    for (size_t k = 0; k < axes.size(); ++k) {
      const auto axis = static_cast<size_t>(axes[k]);
      each_index(*n.inputs[first_index + k].node(), shape[axis], axes[k], who,
                 [&](int64_t i, int64_t v) { offsets_.as<int64_t>()[i] += v * strides[axis]; });
    }
  }
  int64_t count;
  const int64_t* at;

 private:
  Scratch offsets_;
};

/// One element per tuple: no loop inside.
template <class T>
void gather_elements(const T* x, const Places& places, T* y) {
  parallel_for(places.count, 16384, [&](int64_t b, int64_t e) {
    for (int64_t i = b; i < e; ++i) y[i] = x[places.at[i]];
  });
}

/// A loop over the positions of `shape` but `axis`, with these strides, that ignores the axis.
Loop others(const Shape& shape, int axis, std::initializer_list<const Strides*> strides) {
  Strides kept[3];
  int i = 0;
  for (const Strides* s : strides) kept[i++] = without_axis(*s, axis);
  const Shape rest = without_axis(shape, axis);
  return strides.size() == 2 ? collapse(rest, {&kept[0], &kept[1]}) : collapse(rest, {&kept[0], &kept[1], &kept[2]});
}
int64_t positions(const Loop& l) { return size_of(l.shape); }

}  // namespace

void run(const Gather& p, Node& n, bool) {
  const Node& x = *n.inputs[0].node();
  allocate_output(n);
  const Places places(n, 1, p.axes, x.shape, x.strides, "gather");
  const int64_t slice = size_of(p.slice_sizes);
  if (places.count == 0 || slice == 0) return;
  const Loop l = collapse(p.slice_sizes, {&x.strides});
  const auto item = static_cast<int64_t>(size_of(n.dtype));
  if (slice == 1) {
    visit_item(size_of(n.dtype), [&]<class T>(T*) {
      gather_elements(reinterpret_cast<const T*>(x.data()), places, reinterpret_cast<T*>(n.data()));
    });
    return;
  }
  const bool one_run = l.ndim() == 1 && l.strides[0][0] == 1;
  parallel_for(places.count, grain_of(slice * item), [&](int64_t b, int64_t e) {
    for (int64_t i = b; i < e; ++i) {
      const char* from = x.data() + places.at[i] * item;
      char* to = n.data() + i * slice * item;
      if (one_run)
        std::memcpy(to, from, static_cast<size_t>(slice * item));
      else
        gather(to, from, l, 0, 0, slice, static_cast<size_t>(item));
    }
  });
}

void run(const Scatter& p, Node& n, bool may_reuse) {
  const Node& x = *n.inputs[0].node();
  const Node& updates = *n.inputs.back().node();
  const Places places(n, 1, p.axes, x.shape, contiguous_strides(x.shape), "scatter");
  UninterruptedScope to_the_end;  // the storage may be x's own
  if (may_reuse && can_take(n, 0)) {
    share_storage(n, x, x.strides, x.offset);
  } else {
    allocate_output(n);
    copy_row_major(n.data(), x);
  }
  if (places.count == 0 || size_of(updates.shape) == 0) return;
  const RowMajor in(updates);
  const Shape slice_shape(updates.shape.end() - x.shape.size(), updates.shape.end());
  const int64_t slice = size_of(slice_shape);
  const Loop l = collapse(slice_shape, {&n.strides});
  const int64_t inner = l.inner(), step = l.strides[0].back();
  const Combine combine = combine_of(n.dtype, p.mode);
  if (slice == 1) return combine({n.data(), 1, places.at, 1, in.data(), 1, places.count});
  const auto item = static_cast<int64_t>(size_of(n.dtype));
  const char* u = in.data();
  for (int64_t i = 0; i < places.count; ++i) {
    Walk w(l, l.ndim() - 1, 0);
    for (int64_t done = 0; done < slice; done += inner, u += inner * item, w.next())
      combine({n.data() + (places.at[i] + w.offset[0]) * item, step, nullptr, 0, u, 1, inner});
  }
}

void run(const GatherAxis& p, Node& n, bool) {
  const Node& x = *n.inputs[0].node();
  const Node& indices = *n.inputs[1].node();
  allocate_output(n);
  const int64_t total = size_of(n.shape);
  if (total == 0) return;
  const auto axis = static_cast<size_t>(p.axis);
  Scratch where(static_cast<size_t>(total) * 8);
  each_index(indices, x.shape[axis], p.axis, "take_along_axis",
             [&](int64_t i, int64_t v) { where.as<int64_t>()[i] = v; });
  const Loop l = others(n.shape, p.axis, {&n.strides, &x.strides});
  const int64_t length = n.shape[axis], ys = n.strides[axis], xs = x.strides[axis];
  visit_item(size_of(n.dtype), [&]<class T>(T*) {
    auto from = reinterpret_cast<const T*>(x.data());
    auto to = reinterpret_cast<T*>(n.data());
    parallel_for(positions(l), std::max<int64_t>(1, 16384 / length), [&](int64_t b, int64_t e) {
      Walk w(l, l.ndim(), b);
      for (int64_t r = b; r < e; ++r, w.next())
        for (int64_t i = 0; i < length; ++i) {
          const int64_t at = w.offset[0] + i * ys;
          to[at] = from[w.offset[1] + where.as<int64_t>()[at] * xs];
        }
    });
  });
}

void run(const ScatterAxis& p, Node& n, bool may_reuse) {
  const Node& x = *n.inputs[0].node();
  const Node& indices = *n.inputs[1].node();
  const Node& updates = *n.inputs[2].node();
  const auto axis = static_cast<size_t>(p.axis);
  const int64_t total = size_of(indices.shape);
  Scratch where(static_cast<size_t>(total) * 8);
  each_index(indices, x.shape[axis], p.axis, "put_along_axis",
             [&](int64_t i, int64_t v) { where.as<int64_t>()[i] = v; });
  UninterruptedScope to_the_end;  // the storage may be x's own
  if (may_reuse && can_take(n, 0)) {
    share_storage(n, x, x.strides, x.offset);
  } else {
    allocate_output(n);
    copy_row_major(n.data(), x);
  }
  if (total == 0) return;
  const Strides dense = contiguous_strides(indices.shape);
  const Loop l = others(indices.shape, p.axis, {&n.strides, &dense, &updates.strides});
  const int64_t length = indices.shape[axis], ys = n.strides[axis], is = dense[axis], us = updates.strides[axis];
  const Combine combine = combine_of(n.dtype, p.mode);
  const auto item = static_cast<int64_t>(size_of(n.dtype));
  // Different positions of the other axes touch different elements, so they may run at once.
  parallel_for(positions(l), std::max<int64_t>(1, 16384 / length), [&](int64_t b, int64_t e) {
    Walk w(l, l.ndim(), b);
    for (int64_t r = b; r < e; ++r, w.next())
      combine({n.data() + w.offset[0] * item, ys, where.as<int64_t>() + w.offset[1], is,
               updates.data() + w.offset[2] * item, us, length});
  });
}

}  // namespace nhwc::cpu
