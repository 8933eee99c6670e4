// csrc/grad/rules_linalg.cpp -- derivatives of matmul and of convolutions
#include "grad/rules.h"
#include "nhwc/ops.h"
#include "ops/conv.h"

namespace nhwc {

Arrays cotangents(const Matmul&, const Node& n, const Array& ct, const Needed& needed) {
  return {needed[0] ? matmul(ct, swapaxes(n.inputs[1], -1, -2)) : Array(),
          needed[1] ? matmul(swapaxes(n.inputs[0], -1, -2), ct) : Array()};
}

// A convolution is linear in each of its three arrays x, w, y, and each kind computes one of them from the other two,
// so the derivative of a kind by one of its inputs is the kind that computes that input.
Arrays cotangents(const Conv& p, const Node& n, const Array& ct, const Needed& needed) {
  const Array &a = n.inputs[0], &b = n.inputs[1];
  auto conv = [&](ConvKind kind, const Array& u, const Array& v) { return conv_node(kind, p.geometry, u, v); };
  Array da, db;
  switch (p.kind) {
    case ConvKind::forward:  // a = x, b = w, ct = gy
      if (needed[0]) da = conv(ConvKind::input_grad, ct, b);
      if (needed[1]) db = conv(ConvKind::weight_grad, a, ct);
      break;
    case ConvKind::input_grad:  // a = gy, b = w, ct like x
      if (needed[0]) da = conv(ConvKind::forward, ct, b);
      if (needed[1]) db = conv(ConvKind::weight_grad, ct, a);
      break;
    case ConvKind::weight_grad:  // a = x, b = gy, ct like w
      if (needed[0]) da = conv(ConvKind::input_grad, b, ct);
      if (needed[1]) db = conv(ConvKind::forward, a, ct);
      break;
  }
  return {da, db};
}

}  // namespace nhwc
