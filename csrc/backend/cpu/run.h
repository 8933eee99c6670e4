// csrc/backend/cpu/run.h -- one primitive on the CPU: given evaluated inputs, fills the node's storage
#pragma once

#include "graph/chain.h"

namespace nhwc::cpu {

// Each: n.inputs are ready; on return n.buffer, offset, strides and row_major are set (allocate_output or
// share_storage). `may_reuse`: the inputs die with this node, so storage that only one of them holds may become the
// result's.
void run(const Unary& p, Node& n, bool may_reuse);
void run(const Binary& p, Node& n, bool may_reuse);
void run(const Select& p, Node& n, bool may_reuse);
void run(const Cast& p, Node& n, bool may_reuse);
void run(const Reduce& p, Node& n, bool may_reuse);
void run(const ArgReduce& p, Node& n, bool may_reuse);
void run(const Scan& p, Node& n, bool may_reuse);
void run(const Sort& p, Node& n, bool may_reuse);
void run(const Softmax& p, Node& n, bool may_reuse);
void run(const Reshape& p, Node& n, bool may_reuse);
void run(const Transpose& p, Node& n, bool may_reuse);
void run(const Broadcast& p, Node& n, bool may_reuse);
void run(const Slice& p, Node& n, bool may_reuse);
void run(const SliceUpdate& p, Node& n, bool may_reuse);
void run(const Concatenate& p, Node& n, bool may_reuse);
void run(const Gather& p, Node& n, bool may_reuse);
void run(const Scatter& p, Node& n, bool may_reuse);
void run(const GatherAxis& p, Node& n, bool may_reuse);
void run(const ScatterAxis& p, Node& n, bool may_reuse);
void run(const Arange& p, Node& n, bool may_reuse);
void run(const RandomBits& p, Node& n, bool may_reuse);
void run(const Matmul& p, Node& n, bool may_reuse);
void run(const Conv& p, Node& n, bool may_reuse);
void run(const Identity& p, Node& n, bool may_reuse);
void run(const CustomOutput& p, Node& n, bool may_reuse);
void run(const HostCall& p, Node& n, bool may_reuse);
void run(const OptimizerUpdate& p, Node& n, bool may_reuse);
void run(const OptimizerOutput& p, Node& n, bool may_reuse);

/// y = activation(conv + bias + residual) in one pass, for a forward convolution node whose value nobody else reads:
/// the scheduler's fusion. `bias` and `residual` may be null. Fills `into`, which has conv's shape and dtype.
void run_conv_fused(const Conv& p, const Node& conv, const Node* bias, const Node* residual, Activation activation,
                    Node& into);

/// A chain in one pass over blocks that stay in cache, for the scheduler's fusion: bit for bit what its nodes give one
/// by one. Its leaves are ready. Fills `into`, the chain's last node, whose storage may be that of a leaf which dies
/// with the chain.
void run_chain(const Chain& chain, Node& into);
/// The same, reduced on the fly. `into` is the node of `p`, which reads the chain's last node.
void run_reduced_chain(const Reduce& p, const Chain& chain, Node& into);

/// The plan that run(Conv) would use: for explain().
std::string explain(const Conv& p, const Node& n);

}  // namespace nhwc::cpu
