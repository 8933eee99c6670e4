// csrc/backend/metal/run.h -- one primitive on the GPU: gives the node storage and encodes what fills it
#pragma once

#include "graph/chain.h"

namespace nhwc::metal {

// Each: n.inputs have storage, which may still be on its way to be filled; on return n.buffer, offset, strides and
// row_major are set (allocate_output or make_view), and its values are on their way too. Nothing reads or writes
// elements on the calling thread; what must be looked at when the values are there is a check of the StepContext.
// float64 does not get here: make_node refuses it.
void run(const Unary& p, Node& n);
void run(const Binary& p, Node& n);
void run(const Select& p, Node& n);
void run(const Cast& p, Node& n);
void run(const Reduce& p, Node& n);
void run(const ArgReduce& p, Node& n);
void run(const Scan& p, Node& n);
void run(const Sort& p, Node& n);
void run(const Softmax& p, Node& n);
void run(const Reshape& p, Node& n);
void run(const Transpose& p, Node& n);
void run(const Broadcast& p, Node& n);
void run(const Slice& p, Node& n);
void run(const SliceUpdate& p, Node& n);
void run(const Concatenate& p, Node& n);
void run(const Gather& p, Node& n);
void run(const Scatter& p, Node& n);
void run(const GatherAxis& p, Node& n);
void run(const ScatterAxis& p, Node& n);
void run(const Arange& p, Node& n);
void run(const RandomBits& p, Node& n);
void run(const Matmul& p, Node& n);
void run(const Conv& p, Node& n);
void run(const Identity& p, Node& n);
void run(const CustomOutput& p, Node& n);
void run(const HostCall& p, Node& n);
void run(const OptimizerUpdate& p, Node& n);
void run(const OptimizerOutput& p, Node& n);

/// As cpu::run_conv_fused, cpu::run_chain and cpu::run_reduced_chain.
void run_conv_fused(const Conv& p, const Node& conv, const Node* bias, const Node* residual, Activation activation,
                    Node& into);
void run_chain(const Chain& chain, Node& into);
void run_reduced_chain(const Reduce& p, const Chain& chain, Node& into);
/// Encodes a chain whose result's storage `into` has: row-major, of any shape that the leaves are broadcast to.
void fill_chain(const Chain& chain, Node& into);

/// dst = the elements of `x`, row-major; dst is GPU memory of the step.
void copy_row_major(void* dst, const Node& x);

/// The plan that run(Conv) would use: for explain().
std::string explain(const Conv& p, const Node& n);

}  // namespace nhwc::metal
