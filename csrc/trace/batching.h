// csrc/trace/batching.h -- what a batching rule is given, and the rules
#pragma once

#include "graph/node.h"
#include "nhwc/ops.h"

namespace nhwc {

/// An input of a traced node: as it was, or with the batch as a new axis 0.
struct BatchedInput {
  Array a;
  bool batched;
};

/// A traced node that is to be computed for a whole batch; at least one input is batched.
struct Batching {
  const Node& n;
  const std::vector<BatchedInput>& in;
  int64_t size;

  bool batched(size_t i) const { return in[i].batched; }
  /// `s` with the batch in front.
  Shape with_batch(const Shape& s) const {
    Shape r{size};
    r.append(s.begin(), s.end());
    return r;
  }
  /// Input i with the batch in front, whether it depends on it or not; a view where it does not.
  Array wide(size_t i) const { return in[i].batched ? in[i].a : broadcast_to(in[i].a, with_batch(in[i].a.shape())); }
  NodeInputs all_wide() const {
    NodeInputs r;
    for (size_t i = 0; i < in.size(); ++i) r.push_back(wide(i));
    return r;
  }
  /// The node's result for the whole batch, by a primitive of the same result shape but for the batch.
  Array node(Primitive p, NodeInputs inputs) const {
    return make_node(std::move(p), with_batch(n.shape), n.dtype, std::move(inputs), n.stream);
  }
};

// batch_rule(primitive, b): the node's result, of shape (batch, node's shape). As for derivatives, a primitive without
// a rule does not compile. Leaves never depend on a batch; under vmap steps of optimizers are single operations.

inline Array batch_rule(const Data&, const Batching&) { return {}; }
inline Array batch_rule(const Placeholder&, const Batching&) { return {}; }
inline Array batch_rule(const Arange&, const Batching&) { return {}; }
inline Array batch_rule(const OptimizerUpdate&, const Batching&) { return {}; }
inline Array batch_rule(const OptimizerOutput&, const Batching&) { return {}; }

// The rule of the custom function around it gives the batch; nobody evaluates this.
inline Array batch_rule(const HostCall&, const Batching& b) { return b.node(Placeholder{}, {}); }

// vmap_rules.cpp
Array batch_rule(const Unary& p, const Batching& b);
Array batch_rule(const Binary& p, const Batching& b);
Array batch_rule(const Select& p, const Batching& b);
Array batch_rule(const Cast& p, const Batching& b);
Array batch_rule(const Reduce& p, const Batching& b);
Array batch_rule(const ArgReduce& p, const Batching& b);
Array batch_rule(const Scan& p, const Batching& b);
Array batch_rule(const Sort& p, const Batching& b);
Array batch_rule(const Softmax& p, const Batching& b);
Array batch_rule(const Reshape& p, const Batching& b);
Array batch_rule(const Transpose& p, const Batching& b);
Array batch_rule(const Broadcast& p, const Batching& b);
Array batch_rule(const Concatenate& p, const Batching& b);
Array batch_rule(const RandomBits& p, const Batching& b);
Array batch_rule(const Matmul& p, const Batching& b);
Array batch_rule(const Identity& p, const Batching& b);

// vmap_indexing.cpp
Array batch_rule(const Slice& p, const Batching& b);
Array batch_rule(const SliceUpdate& p, const Batching& b);
Array batch_rule(const Gather& p, const Batching& b);
Array batch_rule(const Scatter& p, const Batching& b);
Array batch_rule(const GatherAxis& p, const Batching& b);
Array batch_rule(const ScatterAxis& p, const Batching& b);

// vmap_conv.cpp
Array batch_rule(const Conv& p, const Batching& b);

// vmap_custom.cpp
/// All outputs of a call of a function with rules of its own.
Arrays batch_call(const std::shared_ptr<const CustomCall>& call, const Batching& b);

}  // namespace nhwc
