// csrc/grad/rules_indexing.cpp -- derivatives of reading and writing by slices and by index arrays
#include "grad/rules.h"
#include "nhwc/ops.h"

namespace nhwc {
namespace {

Update to_update(UpdateMode m) {
  switch (m) {
    case UpdateMode::set:
      return Update::set;
    case UpdateMode::add:
      return Update::add;
    case UpdateMode::multiply:
      return Update::multiply;
    case UpdateMode::maximum:
      return Update::maximum;
    case UpdateMode::minimum:
      break;
  }
  return Update::minimum;
}

/// The places that a Scatter or ScatterAxis node updates, as a way to read and write there.
struct Places {
  const Node& n;

  const Array& updates() const { return n.inputs.back(); }
  Arrays indices() const { return {n.inputs.begin() + 1, n.inputs.end() - 1}; }

  /// What `a`, of the node's shape, has there; of the updates' shape.
  Array read(const Array& a) const {
    if (const auto* along = std::get_if<ScatterAxis>(&n.prim)) return take_along_axis(a, n.inputs[1], along->axis);
    const auto& p = std::get<Scatter>(n.prim);
    const size_t index_rank = n.inputs.size() > 2 ? n.inputs[1].shape().size() : 0;
    const Shape& u = updates().shape();
    return gather(a, indices(), {p.axes.begin(), p.axes.end()}, Shape(u.begin() + index_rank, u.end()));
  }
  Array write(const Array& a, const Array& values, UpdateMode mode) const {
    if (const auto* along = std::get_if<ScatterAxis>(&n.prim))
      return make_node(ScatterAxis{along->axis, mode}, a.shape(), a.dtype(), {a, n.inputs[1], values});
    const auto& p = std::get<Scatter>(n.prim);
    return scatter(a, indices(), values, {p.axes.begin(), p.axes.end()}, to_update(mode));
  }
  /// For each update its number in the order in which updates of one place are applied.
  Array numbers() const {
    const Shape& u = updates().shape();
    Shape counted(u.size(), 1);
    int64_t count = 1;
    if (const auto* along = std::get_if<ScatterAxis>(&n.prim)) {
      counted[along->axis] = count = u[along->axis];
    } else if (n.inputs.size() > 2) {
      const Shape& index = n.inputs[1].shape();
      count = size_of(index);
      for (size_t i = 0; i < index.size(); ++i) counted[i] = index[i];
    }
    const Array order = arange(0, static_cast<double>(count), 1, count < INT32_MAX ? Dtype::int32 : Dtype::int64);
    return broadcast_to(reshape(order, counted), u);
  }
};

Array masked(const Array& mask, const Array& ct) { return where(mask, ct, like(0, ct)); }

// For set, maximum and minimum one of the candidates gives each place its value: the last of those that could have. So
// at ties the later update wins, and any update wins over the old value, as in maximum(a, b).
struct Winner {
  Array of_place;  // number of the winning update, -1 for the old value; of the node's shape
  Array numbers;   // of the updates' shape; -1 for those that do not take part

  Winner(const Places& at, const Array& takes_part) {
    numbers = at.numbers();
    const Array none = Array::scalar_int(-1, numbers.dtype());
    if (takes_part) numbers = where(takes_part, numbers, none);
    of_place = at.write(broadcast_to(none, at.n.shape), numbers, UpdateMode::maximum);
  }
  Array place_keeps_old() const { return less(of_place, Array::scalar_int(0, of_place.dtype())); }
  Array update_wins(const Places& at) const {
    const Array wins = equal(at.read(of_place), numbers);
    return logical_and(wins, greater_equal(numbers, Array::scalar_int(0, numbers.dtype())));
  }
};

// Cotangent of each update that multiplies: ct * (the old value) * (the other updates of the place). Zeros are counted
// rather than divided by.
Array multiplied_update_cotangent(const Places& at, const Array& x, const Array& ct) {
  const Array& u = at.updates();
  const Array is_zero = equal(u, like(0, u)), safe = where(is_zero, like(1, u), u);
  const Array product = at.read(at.write(ones_like(x), safe, UpdateMode::multiply));
  const Array zeros_there = at.read(at.write(zeros_like(x), astype(is_zero, x.dtype()), UpdateMode::add));
  const Array other_zeros = zeros_there - astype(is_zero, x.dtype());
  const Array others = where(equal(other_zeros, like(0, x)), product / safe, like(0, x));
  return at.read(ct) * at.read(x) * others;
}

Arrays update_cotangents(const Places& at, UpdateMode mode, const Array& ct, const Needed& needed) {
  const Node& n = at.n;
  const Array& x = n.inputs[0];
  Arrays result(n.inputs.size());
  Array &dx = result.front(), &du = result.back();
  const bool old = needed.front(), updates = needed.back();
  switch (mode) {
    case UpdateMode::add:
      if (old) dx = ct;
      if (updates) du = at.read(ct);
      break;
    case UpdateMode::multiply:
      if (old) dx = at.write(ct, at.updates(), UpdateMode::multiply);
      if (updates) du = multiplied_update_cotangent(at, x, ct);
      break;
    case UpdateMode::set:
      if (old) dx = at.write(ct, zeros_like(at.updates()), UpdateMode::set);
      if (updates) du = masked(Winner(at, {}).update_wins(at), at.read(ct));
      break;
    case UpdateMode::maximum:
    case UpdateMode::minimum: {
      const Winner winner(at, equal(at.read(value_of(n)), at.updates()));
      if (old) dx = masked(winner.place_keeps_old(), ct);
      if (updates) du = masked(winner.update_wins(at), at.read(ct));
      break;
    }
  }
  return result;
}

}  // namespace

Arrays cotangents(const SliceUpdate& p, const Node& n, const Array& ct, const Needed& needed) {
  const Array &x = n.inputs[0], &u = n.inputs[1];
  auto read = [&](const Array& a) { return slice(a, p.start, u.shape(), p.step); };
  auto write = [&](const Array& values) { return slice_update(ct, values, p.start, p.step); };
  auto split = [&](const Array& old_stays) -> Arrays {
    return {needed[0] ? write(masked(old_stays, read(ct))) : Array(),
            needed[1] ? where(old_stays, like(0, ct), read(ct)) : Array()};
  };
  switch (p.mode) {
    case UpdateMode::set:
      return {needed[0] ? write(zeros_like(u)) : Array(), needed[1] ? read(ct) : Array()};
    case UpdateMode::add:
      return {ct, needed[1] ? read(ct) : Array()};
    case UpdateMode::multiply:
      return {needed[0] ? write(read(ct) * u) : Array(), needed[1] ? read(ct) * read(x) : Array()};
    case UpdateMode::maximum:
      return split(greater(read(x), u));  // ties go to the update, as in maximum(a, b)
    case UpdateMode::minimum:
      break;
  }
  return split(less(read(x), u));
}

Arrays cotangents(const Gather& p, const Node& n, const Array& ct, const Needed&) {
  Arrays result(n.inputs.size());
  const Arrays indices(n.inputs.begin() + 1, n.inputs.end());
  result[0] = scatter(zeros_like(n.inputs[0]), indices, ct, {p.axes.begin(), p.axes.end()}, Update::add);
  return result;
}

Arrays cotangents(const GatherAxis& p, const Node& n, const Array& ct, const Needed&) {
  const Array& x = n.inputs[0];
  const ScatterAxis back{p.axis, UpdateMode::add};
  return {make_node(back, x.shape(), x.dtype(), {zeros_like(x), n.inputs[1], ct}), Array()};
}

Arrays cotangents(const Scatter& p, const Node& n, const Array& ct, const Needed& needed) {
  return update_cotangents({n}, p.mode, ct, needed);
}

Arrays cotangents(const ScatterAxis& p, const Node& n, const Array& ct, const Needed& needed) {
  return update_cotangents({n}, p.mode, ct, needed);
}

}  // namespace nhwc
