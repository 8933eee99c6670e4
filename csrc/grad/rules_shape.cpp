// csrc/grad/rules_shape.cpp -- derivatives of what only moves elements, or hands them on
#include "grad/rules.h"
#include "nhwc/ops.h"

namespace nhwc {

Arrays cotangents(const Reshape&, const Node& n, const Array& ct, const Needed&) {
  return {reshape(ct, n.inputs[0].shape())};
}

Arrays cotangents(const Transpose& p, const Node&, const Array& ct, const Needed&) {
  std::vector<int> inverse(p.perm.size());
  for (size_t i = 0; i < p.perm.size(); ++i) inverse[p.perm[i]] = static_cast<int>(i);
  return {transpose(ct, inverse)};
}

Arrays cotangents(const Broadcast&, const Node& n, const Array& ct, const Needed&) {
  const Shape& x = n.inputs[0].shape();
  const size_t added = n.shape.size() - x.size();
  std::vector<int> repeated;
  for (size_t i = 0; i < n.shape.size(); ++i)
    if (i < added || (x[i - added] == 1 && n.shape[i] != 1)) repeated.push_back(static_cast<int>(i));
  return {reshape(repeated.empty() ? ct : sum(ct, repeated, true), x)};
}

Arrays cotangents(const Slice& p, const Node& n, const Array& ct, const Needed&) {
  return {slice_update(zeros_like(n.inputs[0]), ct, p.start, p.step)};
}

Arrays cotangents(const Concatenate& p, const Node& n, const Array& ct, const Needed& needed) {
  Arrays result(n.inputs.size());
  Dims start(n.shape.size(), 0);
  const Dims step(n.shape.size(), 1);
  for (size_t i = 0; i < n.inputs.size(); ++i) {
    if (needed[i]) result[i] = slice(ct, start, n.inputs[i].shape(), step);
    start[p.axis] += n.inputs[i].shape(p.axis);
  }
  return result;
}

Arrays cotangents(const Identity& p, const Node& n, const Array& ct, const Needed&) {
  Arrays result(n.inputs.size());
  if (p.kind != IdentityKind::stop_gradient) result[0] = ct;
  return result;
}

Arrays cotangents(const CustomOutput& p, const Node& n, const Array& ct, const Needed&) {
  Arrays result(n.inputs.size());
  result[p.index] = ct;
  return result;
}

}  // namespace nhwc
