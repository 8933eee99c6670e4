// csrc/grad/rules.h -- the derivative of every primitive, as a map from the cotangent of the result to those of the
// inputs
#pragma once

#include <vector>

#include "graph/node.h"

namespace nhwc {

/// Which inputs' cotangents are asked for: floating ones that depend on the arguments of the function.
using Needed = std::vector<bool>;

// cotangents(primitive, node, ct, needed): one per input, an empty Array where it is not needed or zero. Every rule is
// linear in `ct`, which has the node's shape and dtype, and is made of operations that have rules themselves: forward
// mode transposes the rules, and derivatives of any order follow. There is deliberately no rule for "any other"
// primitive.

// rules_elementwise.cpp
Arrays cotangents(const Unary& p, const Node& n, const Array& ct, const Needed& needed);
Arrays cotangents(const Binary& p, const Node& n, const Array& ct, const Needed& needed);
Arrays cotangents(const Select& p, const Node& n, const Array& ct, const Needed& needed);
Arrays cotangents(const Cast& p, const Node& n, const Array& ct, const Needed& needed);

// rules_reduce.cpp
Arrays cotangents(const Reduce& p, const Node& n, const Array& ct, const Needed& needed);
Arrays cotangents(const Scan& p, const Node& n, const Array& ct, const Needed& needed);
Arrays cotangents(const Sort& p, const Node& n, const Array& ct, const Needed& needed);
Arrays cotangents(const Softmax& p, const Node& n, const Array& ct, const Needed& needed);

// rules_shape.cpp
Arrays cotangents(const Reshape& p, const Node& n, const Array& ct, const Needed& needed);
Arrays cotangents(const Transpose& p, const Node& n, const Array& ct, const Needed& needed);
Arrays cotangents(const Broadcast& p, const Node& n, const Array& ct, const Needed& needed);
Arrays cotangents(const Slice& p, const Node& n, const Array& ct, const Needed& needed);
Arrays cotangents(const Concatenate& p, const Node& n, const Array& ct, const Needed& needed);
Arrays cotangents(const Identity& p, const Node& n, const Array& ct, const Needed& needed);
Arrays cotangents(const CustomOutput& p, const Node& n, const Array& ct,
                  const Needed& needed);  // without a rule of its own

// rules_indexing.cpp
Arrays cotangents(const SliceUpdate& p, const Node& n, const Array& ct, const Needed& needed);
Arrays cotangents(const Gather& p, const Node& n, const Array& ct, const Needed& needed);
Arrays cotangents(const GatherAxis& p, const Node& n, const Array& ct, const Needed& needed);
Arrays cotangents(const Scatter& p, const Node& n, const Array& ct, const Needed& needed);
Arrays cotangents(const ScatterAxis& p, const Node& n, const Array& ct, const Needed& needed);

// rules_linalg.cpp
Arrays cotangents(const Matmul& p, const Node& n, const Array& ct, const Needed& needed);
Arrays cotangents(const Conv& p, const Node& n, const Array& ct, const Needed& needed);

// Never on a tape: leaves, results that are integers, calls of the host, which have a custom function around them, and
// steps of optimizers, which are not fused there.
inline Arrays cotangents(const Data&, const Node&, const Array&, const Needed&) { return {}; }
inline Arrays cotangents(const Placeholder&, const Node&, const Array&, const Needed&) { return {}; }
inline Arrays cotangents(const Arange&, const Node&, const Array&, const Needed&) { return {}; }
inline Arrays cotangents(const HostCall&, const Node&, const Array&, const Needed&) { return {}; }
inline Arrays cotangents(const OptimizerUpdate&, const Node&, const Array&, const Needed&) { return {}; }
inline Arrays cotangents(const OptimizerOutput&, const Node&, const Array&, const Needed&) { return {}; }
inline Arrays cotangents(const RandomBits&, const Node&, const Array&, const Needed&) { return {}; }
inline Arrays cotangents(const ArgReduce&, const Node& n, const Array&, const Needed&) {
  return Arrays(n.inputs.size());
}

/// The rule of the node's primitive.
inline Arrays cotangents(const Node& n, const Array& ct, const Needed& needed) {
  return std::visit([&](const auto& p) { return cotangents(p, n, ct, needed); }, n.prim);
}

/// `v` in the dtype of `a`.
inline Array like(double v, const Array& a) { return Array::scalar(v, a.dtype()); }
/// The node's own value; a rule may use it as any other array.
inline Array value_of(const Node& n) { return array_of(const_cast<Node*>(&n)); }

}  // namespace nhwc
