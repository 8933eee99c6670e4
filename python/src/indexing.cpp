// python/src/indexing.cpp -- reading and replacing the parts of an array that an index names
#include "indexing.h"

#include "array_class.h"

namespace nhwc::py {
namespace {

Array view_of(const Array& a, const IndexPlan& p) {
  Array x = p.slices ? slice(a, p.start, p.count, p.step) : a;
  return x.shape() == p.view ? x : reshape(x, p.view);
}

/// Sizes of p.view with 1 where it is indexed: what one pick takes.
Shape pick_sizes(const IndexPlan& p) {
  Shape s = p.view;
  for (int axis : p.axes) s[axis] = 1;
  return s;
}

Shape joined(const Shape& a, const Shape& b) {
  Shape s = a;
  s.append(b.begin(), b.end());
  return s;
}

/// From the order picked, kept to the result's (forward), or back.
Array place_picked(const Array& x, const IndexPlan& p, bool forward) {
  int place = p.place, picked = static_cast<int>(p.picked.size()), n = x.ndim();
  if (place == 0 || picked == 0) return x;
  std::vector<int> perm;
  int first = forward ? picked : place;  // length of the block that moves behind the second one
  int second = forward ? place : picked;
  for (int i = 0; i < second; ++i) perm.push_back(first + i);
  for (int i = 0; i < first; ++i) perm.push_back(i);
  for (int i = first + second; i < n; ++i) perm.push_back(i);
  return transpose(x, perm);
}

/// `value` as an array of a's dtype that fits shape `to`; ones in front that `to` does not have are dropped.
Array fitted(const Array& value, const Shape& to) {
  Array v = value;
  if (v.ndim() > static_cast<int>(to.size())) {
    size_t extra = v.ndim() - to.size();
    for (size_t i = 0; i < extra; ++i)
      if (v.shape(static_cast<int>(i)) != 1)
        raise<ValueError>("[index] a value of shape ", to_string(value.shape()),
                          " cannot be assigned to a part of shape ", to_string(to));
    v = reshape(v, Shape(v.shape().begin() + extra, v.shape().end()));
  }
  if (broadcast_shapes(v.shape(), to, "index") != to)
    raise<ValueError>("[index] a value of shape ", to_string(value.shape()), " cannot be assigned to a part of shape ",
                      to_string(to));
  return v.shape() == to ? v : broadcast_to(v, to);
}

/// a[mask] = v for a value that is the same at every place: no need to know the places, so it stays lazy.
Array set_masked(const Array& a, const Array& mask, const Array& value) {
  int k = mask.ndim();
  if (k > a.ndim() || mask.shape() != Shape(a.shape().begin(), a.shape().begin() + k)) return Array();
  Shape rest(a.shape().begin() + k, a.shape().end());
  if (value.ndim() > static_cast<int>(rest.size()) && value.size() != 1) return Array();
  Array v = value.size() == 1 ? reshape(value, {}) : fitted(value, rest);
  Shape wide = mask.shape();
  for (size_t i = 0; i < rest.size(); ++i) wide.push_back(1);
  return where(rest.empty() ? mask : reshape(mask, wide), v, a);
}

}  // namespace

Array get_item(const Array& a, nb::handle index) {
  IndexPlan p = plan_index(a, read_index(index));
  Array x = view_of(a, p);
  if (p.indices.empty()) return x;
  Array y = gather(x, p.indices, p.axes, pick_sizes(p));
  return place_picked(reshape(y, joined(p.picked, p.kept)), p, true);
}

Array set_item(const Array& a, nb::handle index, nb::handle value, Update mode) {
  Array v = to_array(value, a.dtype());
  IndexEntries entries = read_index(index);
  bool mask_only =
      entries.size() == 1 && entries[0].kind == IndexEntry::array && entries[0].mask() && entries[0].values.ndim() > 0;
  if (mask_only && mode == Update::set)
    if (Array done = set_masked(a, entries[0].values, v)) return done;
  IndexPlan p = plan_index(a, std::move(entries));
  v = fitted(v, p.result);
  if (p.indices.empty()) {
    Array update = v.shape() == p.count ? v : reshape(v, p.count);
    if (!p.slices && mode == Update::set) return update;
    return slice_update(a, update, p.start, p.step, mode);
  }
  v = reshape(place_picked(v, p, false), joined(p.picked, pick_sizes(p)));
  Array x = scatter(view_of(a, p), p.indices, v, p.axes, mode);
  if (x.shape() != p.count) x = reshape(x, p.count);
  return p.slices ? slice_update(a, x, p.start, p.step) : x;
}

}  // namespace nhwc::py
