// csrc/eval/fuse.cpp -- which nodes are computed in one pass with the one that reads them
#include "eval/fuse.h"

namespace nhwc {
namespace {

// Nobody but the node that reads it can see `a`: it need not get a value of its own. A tracer may be read by a gradient
// later.
bool is_private(const Array& a) {
  const Node& n = *a.node();
  return !n.is_ready() && !n.tracer() && n.refs.load(std::memory_order_acquire) == 1;
}

Activation activation_of(UnaryKind k) {
  switch (k) {
    case UnaryKind::relu:
      return Activation::relu;
    case UnaryKind::relu6:
      return Activation::relu6;
    case UnaryKind::leaky_relu:
      return Activation::leaky_relu;
    case UnaryKind::silu:
      return Activation::silu;
    case UnaryKind::gelu:
      return Activation::gelu;
    case UnaryKind::tanh:
      return Activation::tanh;
    case UnaryKind::sigmoid:
      return Activation::sigmoid;
    default:
      return Activation::none;
  }
}

bool is_forward_conv(const Array& a) {
  const auto* conv = std::get_if<Conv>(&a.node()->prim);
  return conv && conv->kind == ConvKind::forward && is_private(a);
}

// The one-per-channel array behind `a`, a broadcast of it over all other axes; nullptr where it is something else. A
// broadcast that others read may be computed before the chain is, and then lets its input go.
const Array* channel_vector(const Array& a) {
  const Node* n = a.node();
  if (!std::holds_alternative<Broadcast>(n->prim) || !is_private(a)) return nullptr;
  const Shape& v = n->inputs[0].shape();
  const int64_t channels = n->shape.back();
  return !v.empty() && v.back() == channels && size_of(v) == channels ? &n->inputs[0] : nullptr;
}

bool is_zero(const Array& a) {
  const Node* n = a.node();
  if (std::holds_alternative<Broadcast>(n->prim) && !n->inputs.empty()) n = n->inputs[0].node();
  return n->is_ready() && n->shape.empty() && n->dtype == Dtype::float32 &&
         *reinterpret_cast<const float*>(n->data()) == 0;
}

bool add_bias(const Array& a, ConvChain& chain) {
  const auto* add = std::get_if<Binary>(&a.node()->prim);
  if (!add || add->kind != BinaryKind::add) return false;
  const NodeInputs& in = a.node()->inputs;
  for (int side : {0, 1}) {
    if (!is_forward_conv(in[side])) continue;
    const Array* bias = channel_vector(in[1 - side]);
    if (!bias || bias->dtype() != a.dtype()) continue;
    chain.conv = in[side].node();
    chain.bias = bias;
    return true;
  }
  return false;
}

// Any array of the result's shape and type, added to a convolution with or without bias.
bool add_residual(const Array& a, ConvChain& chain) {
  const auto* add = std::get_if<Binary>(&a.node()->prim);
  if (!add || add->kind != BinaryKind::add) return false;
  if (a.dtype() != Dtype::float32 && a.dtype() != Dtype::float64) return false;
  const NodeInputs& in = a.node()->inputs;
  for (int side : {0, 1}) {
    const Array &sum = in[side], &other = in[1 - side];
    if (sum.node() == other.node() || other.dtype() != a.dtype() || other.shape() != a.shape()) continue;
    if (sum.shape() != a.shape()) continue;
    if (is_forward_conv(sum))
      chain.conv = sum.node();
    else if (!is_private(sum) || !add_bias(sum, chain))
      continue;
    chain.residual = &other;
    return true;
  }
  return false;
}

// `a` without its activation, where it has one; the activation goes into the chain.
const Array* before_activation(const Array& a, ConvChain& chain) {
  const Node& n = *a.node();
  if (const auto* unary = std::get_if<Unary>(&n.prim)) {
    chain.activation = activation_of(unary->kind);
    return chain.activation == Activation::none ? nullptr : &n.inputs[0];
  }
  if (const auto* binary = std::get_if<Binary>(&n.prim); binary && binary->kind == BinaryKind::maximum) {
    for (int side : {0, 1}) {
      if (!is_zero(n.inputs[1 - side])) continue;
      chain.activation = Activation::relu;
      return &n.inputs[side];
    }
  }
  return nullptr;
}

ConvChain any_conv_chain(const Array& a) {
  ConvChain chain;
  if (add_bias(a, chain) || add_residual(a, chain)) return chain;
  const Array* inner = before_activation(a, chain);
  if (!inner || !is_private(*inner)) return {};
  if (is_forward_conv(*inner))
    chain.conv = inner->node();
  else if (!add_bias(*inner, chain) && !add_residual(*inner, chain))
    return {};
  return chain;
}

}  // namespace

ConvChain find_conv_chain(const Array& a) {
  if (a.node()->tracer()) return {};
  const ConvChain chain = any_conv_chain(a);
  return chain.conv && on_gpu(*chain.conv) != on_gpu(*a.node()) ? ConvChain{} : chain;
}

}  // namespace nhwc
