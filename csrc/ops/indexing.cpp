// csrc/ops/indexing.cpp -- slices, gathers and scatters
#include <algorithm>

#include "ops/common.h"

namespace nhwc {
namespace {

// Every place that a slice of shape `result` touches must lie inside `shape`.
void require_inside(const Shape& shape, const Dims& start, const Shape& result, const Dims& step, const char* who) {
  if (start.size() != shape.size() || step.size() != shape.size() || result.size() != shape.size())
    raise<ValueError>("[", who, "] start ", to_string(start), ", step ", to_string(step), " and shape ",
                      to_string(result), " must have one value per axis of ", to_string(shape));
  for (size_t i = 0; i < shape.size(); ++i) {
    if (result[i] == 0) continue;
    int64_t last = 0;
    const bool overflow = result[i] < 0 || __builtin_mul_overflow(result[i] - 1, step[i], &last) ||
                          __builtin_add_overflow(last, start[i], &last);
    if (overflow || start[i] < 0 || start[i] >= shape[i] || last < 0 || last >= shape[i])
      raise<IndexError>("[", who, "] along axis ", i, ", ", result[i], " elements from ", start[i], " by ", step[i],
                        " leave the size ", shape[i]);
  }
}

// All of an array of shape `shape`, in order.
bool is_whole(const Shape& shape, const Dims& start, const Shape& result, const Dims& step) {
  const auto forward = [](int64_t s) { return s == 1; };
  return result == shape && std::all_of(start.begin(), start.end(), [](int64_t s) { return s == 0; }) &&
         std::all_of(step.begin(), step.end(), forward);
}

UpdateMode mode_of(Update u) { return static_cast<UpdateMode>(u); }

Arrays prepared_indices(const Array& a, const Arrays& indices, const std::vector<int>& axes, const char* who) {
  if (indices.size() != axes.size())
    raise<ValueError>("[", who, "] got ", indices.size(), " index arrays for ", axes.size(),
                      " axes; expected one each");
  std::vector<bool> seen(a.ndim());
  for (int ax : axes) {
    if (ax < 0 || ax >= a.ndim() || seen[ax])
      raise<ValueError>("[", who, "] axis ", ax, " is out of range or named twice for shape ", to_string(a.shape()));
    seen[ax] = true;
  }
  for (const Array& i : indices) require_integers(i, who, "indices");
  return broadcast_arrays(indices);
}

}  // namespace

Array slice(const Array& a, const Dims& start, const Shape& result, const Dims& step) {
  require_inside(a.shape(), start, result, step, "slice");
  if (is_whole(a.shape(), start, result, step)) return a;
  return make_node(Slice{start, step}, result, a.dtype(), {a});
}

Array slice_update(const Array& a, const Array& update, const Dims& start, const Dims& step, Update mode) {
  require_inside(a.shape(), start, update.shape(), step, "slice_update");
  if (update.size() == 0) return a;
  const Array u = astype(update, a.dtype());
  if (mode == Update::set && is_whole(a.shape(), start, u.shape(), step)) return u;
  return make_node(SliceUpdate{start, step, mode_of(mode)}, a.shape(), a.dtype(), {a, u});
}

Array gather(const Array& a, const Arrays& indices, const std::vector<int>& axes, const Shape& slice_sizes) {
  const Arrays in = prepared_indices(a, indices, axes, "gather");
  if (slice_sizes.size() != a.shape().size())
    raise<ValueError>("[gather] slice_sizes ", to_string(slice_sizes), " must have one size per axis of ",
                      to_string(a.shape()));
  Shape out = in.empty() ? Shape{} : in[0].shape();
  for (size_t i = 0; i < slice_sizes.size(); ++i) {
    const bool indexed = std::find(axes.begin(), axes.end(), static_cast<int>(i)) != axes.end();
    if (indexed ? slice_sizes[i] != 1 : slice_sizes[i] < 0 || slice_sizes[i] > a.shape()[i])
      raise<ValueError>("[gather] slice_sizes ", to_string(slice_sizes), " do not fit shape ", to_string(a.shape()),
                        "; an indexed axis takes 1, another at most its size");
    out.push_back(slice_sizes[i]);
  }
  NodeInputs inputs{a};
  inputs.append(in.begin(), in.end());
  Dims ax(axes.begin(), axes.end());
  return make_node(Gather{ax, slice_sizes}, std::move(out), a.dtype(), std::move(inputs));
}

Array scatter(const Array& a, const Arrays& indices, const Array& updates, const std::vector<int>& axes, Update mode) {
  const Arrays in = prepared_indices(a, indices, axes, "scatter");
  const Shape picked = in.empty() ? Shape{} : in[0].shape();
  bool fits = updates.shape().size() == picked.size() + a.shape().size() &&
              std::equal(picked.begin(), picked.end(), updates.shape().begin());
  for (int i = 0; fits && i < a.ndim(); ++i) {
    const bool indexed = std::find(axes.begin(), axes.end(), i) != axes.end();
    fits = updates.shape()[picked.size() + i] <= (indexed ? 1 : a.shape(i));
  }
  if (!fits)
    raise<ValueError>("[scatter] updates have shape ", to_string(updates.shape()), "; expected the index shape ",
                      to_string(picked), " followed by 1 for an indexed axis and at most its size for another of ",
                      to_string(a.shape()));
  NodeInputs inputs{a};
  inputs.append(in.begin(), in.end());
  inputs.push_back(astype(updates, a.dtype()));
  Dims ax(axes.begin(), axes.end());
  return make_node(Scatter{ax, mode_of(mode)}, a.shape(), a.dtype(), std::move(inputs));
}

Array take(const Array& a, const Array& indices, std::optional<int> axis) {
  if (!axis) return take(flatten(a), indices, 0);
  const int ax = normalize_axis(*axis, a.ndim(), "take");
  require_integers(indices, "take", "indices");
  if (a.shape(ax) == 0 && indices.size() != 0)
    raise<IndexError>("[take] axis ", ax, " of shape ", to_string(a.shape()), " is empty: there is nothing to take");
  Shape sizes = a.shape();
  sizes[ax] = 1;
  const Array picked = gather(a, {indices}, {ax}, sizes);
  // gather gives (indices..., a's axes with 1 at ax); np.take puts the indices where the axis was.
  const int n = indices.ndim();
  std::vector<int> order;
  for (int i = 0; i < ax; ++i) order.push_back(n + i);
  for (int i = 0; i < n; ++i) order.push_back(i);
  for (int i = ax + 1; i < a.ndim(); ++i) order.push_back(n + i - 1);
  return transpose(squeeze(picked, std::vector<int>{n + ax}), order);
}

namespace {

// a and indices broadcast against each other along every axis but `ax`.
std::pair<Array, Array> align_along(const Array& a, const Array& indices, int ax, const char* who) {
  require_integers(indices, who, "indices");
  if (indices.ndim() != a.ndim())
    raise<ValueError>("[", who, "] indices of shape ", to_string(indices.shape()), " for an array of shape ",
                      to_string(a.shape()), "; expected the same number of dimensions");
  Shape sa = a.shape(), si = indices.shape();
  sa[ax] = si[ax] = 1;
  Shape common = broadcast_shapes(sa, si, who);
  Shape wide_a = common, wide_i = common;
  wide_a[ax] = a.shape(ax);
  wide_i[ax] = indices.shape(ax);
  return {broadcast_to(a, wide_a), broadcast_to(indices, wide_i)};
}

}  // namespace

Array take_along_axis(const Array& a, const Array& indices, std::optional<int> axis) {
  if (!axis) return take_along_axis(flatten(a), indices, 0);
  const int ax = normalize_axis(*axis, a.ndim(), "take_along_axis");
  auto [x, i] = align_along(a, indices, ax, "take_along_axis");
  Shape shape = i.shape();
  return make_node(GatherAxis{ax}, std::move(shape), a.dtype(), {x, i});
}

Array put_along_axis(const Array& a, const Array& indices, const Array& values, std::optional<int> axis) {
  if (!axis) return reshape(put_along_axis(flatten(a), indices, values, 0), a.shape());
  const int ax = normalize_axis(*axis, a.ndim(), "put_along_axis");
  auto [x, i] = align_along(a, indices, ax, "put_along_axis");
  if (x.shape() != a.shape())
    raise<ValueError>("[put_along_axis] indices of shape ", to_string(indices.shape()),
                      " do not fit the array's shape ", to_string(a.shape()), "; but for axis ", ax,
                      " they must be broadcast to it, not it to them");
  const Array v = broadcast_to(astype(values, a.dtype()), i.shape());
  return make_node(ScatterAxis{ax, UpdateMode::set}, a.shape(), a.dtype(), {x, i, v});
}

}  // namespace nhwc
