// csrc/graph/primitives.cpp -- names of primitives
#include "graph/primitives.h"

#include "graph/update.h"

namespace nhwc {
namespace {

struct Namer {
  std::string operator()(const Data&) const { return "data"; }
  std::string operator()(const Placeholder&) const { return "placeholder"; }
  std::string operator()(const Unary& p) const { return name(p.kind); }
  std::string operator()(const Binary& p) const { return name(p.kind); }
  std::string operator()(const Select&) const { return "where"; }
  std::string operator()(const Cast&) const { return "astype"; }
  std::string operator()(const Reduce& p) const { return name(p.kind); }
  std::string operator()(const ArgReduce& p) const { return p.max ? "argmax" : "argmin"; }
  std::string operator()(const Scan& p) const { return p.product ? "cumprod" : "cumsum"; }
  std::string operator()(const Sort& p) const { return p.indices ? "argsort" : "sort"; }
  std::string operator()(const Softmax&) const { return "softmax"; }
  std::string operator()(const Reshape&) const { return "reshape"; }
  std::string operator()(const Transpose&) const { return "transpose"; }
  std::string operator()(const Broadcast&) const { return "broadcast_to"; }
  std::string operator()(const Slice&) const { return "slice"; }
  std::string operator()(const SliceUpdate&) const { return "slice_update"; }
  std::string operator()(const Concatenate&) const { return "concatenate"; }
  std::string operator()(const Gather&) const { return "gather"; }
  std::string operator()(const Scatter&) const { return "scatter"; }
  std::string operator()(const GatherAxis&) const { return "take_along_axis"; }
  std::string operator()(const ScatterAxis&) const { return "put_along_axis"; }
  std::string operator()(const Arange&) const { return "arange"; }
  std::string operator()(const RandomBits&) const { return "random_bits"; }
  std::string operator()(const Matmul&) const { return "matmul"; }
  std::string operator()(const Conv& p) const {
    static constexpr const char* names[] = {"conv", "conv_input_grad", "conv_weight_grad"};
    return names[static_cast<int>(p.kind)];
  }
  std::string operator()(const Identity& p) const {
    static constexpr const char* names[] = {"alias", "stop_gradient", "contiguous", "depends"};
    return names[static_cast<int>(p.kind)];
  }
  std::string operator()(const CustomOutput&) const { return "custom_function"; }
  std::string operator()(const HostCall&) const { return "host_call"; }
  std::string operator()(const OptimizerUpdate& p) const { return facts_of(p.call->rule).name; }
  std::string operator()(const OptimizerOutput&) const { return "update_output"; }
};

}  // namespace

std::string name(const Primitive& p) { return std::visit(Namer{}, p); }

}  // namespace nhwc
