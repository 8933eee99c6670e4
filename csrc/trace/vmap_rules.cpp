// csrc/trace/vmap_rules.cpp -- batching of everything but indexing, convolutions and custom functions
#include "trace/batching.h"

namespace nhwc {

Array batch_rule(const Unary& p, const Batching& b) { return b.node(p, b.all_wide()); }
Array batch_rule(const Binary& p, const Batching& b) { return b.node(p, b.all_wide()); }
Array batch_rule(const Select& p, const Batching& b) { return b.node(p, b.all_wide()); }
Array batch_rule(const Cast& p, const Batching& b) { return b.node(p, b.all_wide()); }

Array batch_rule(const Reduce& p, const Batching& b) {
  Reduce q = p;
  for (int64_t& a : q.axes) ++a;
  return b.node(q, b.all_wide());
}
Array batch_rule(const ArgReduce& p, const Batching& b) {
  return b.node(ArgReduce{p.max, p.axis + 1, p.keepdims}, b.all_wide());
}
Array batch_rule(const Scan& p, const Batching& b) {
  return b.node(Scan{p.product, p.axis + 1, p.reverse, p.inclusive}, b.all_wide());
}
Array batch_rule(const Sort& p, const Batching& b) { return b.node(Sort{p.axis + 1, p.indices}, b.all_wide()); }
Array batch_rule(const Softmax& p, const Batching& b) { return b.node(p, b.all_wide()); }

Array batch_rule(const Reshape& p, const Batching& b) { return b.node(p, b.all_wide()); }
Array batch_rule(const Transpose& p, const Batching& b) {
  Transpose q{{0}};
  for (int64_t a : p.perm) q.perm.push_back(a + 1);
  return b.node(q, b.all_wide());
}
Array batch_rule(const Broadcast& p, const Batching& b) {
  const Shape& x = b.n.inputs[0].shape();
  Shape aligned(b.n.shape.size() - x.size(), 1);  // the axes that the broadcast adds come after the batch
  aligned.append(x.begin(), x.end());
  return b.node(p, {reshape(b.in[0].a, b.with_batch(aligned))});
}
Array batch_rule(const Concatenate& p, const Batching& b) { return b.node(Concatenate{p.axis + 1}, b.all_wide()); }

Array batch_rule(const RandomBits& p, const Batching& b) { return b.node(p, b.all_wide()); }

Array batch_rule(const Matmul& p, const Batching& b) {
  const Array &x = b.in[0].a, &y = b.in[1].a;
  if (b.batched(0) && !b.batched(1) && y.ndim() == 2) {  // one product of more rows
    const Array rows = reshape(x, {x.shape(0) * x.shape(1), x.shape(2)});
    return reshape(matmul(rows, y), b.with_batch(b.n.shape));
  }
  return b.node(p, b.all_wide());
}

Array batch_rule(const Identity& p, const Batching& b) {
  NodeInputs inputs{b.wide(0)};
  for (size_t i = 1; i < b.in.size(); ++i) inputs.push_back(b.in[i].a);  // only waited for
  return b.node(p, std::move(inputs));
}

}  // namespace nhwc
