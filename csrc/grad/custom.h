// csrc/grad/custom.h -- calls of functions with derivatives of their own, as they stand in a graph
#pragma once

#include <unordered_map>

#include "graph/node.h"

namespace nhwc {

class Tape;

/// The calls on a tape. Every output of one call is a node of its own; the calls' rules want all of them at once.
class CustomCalls {
 public:
  explicit CustomCalls(const Tape& tape);
  /// Whether no other output of the node's call comes before it on the tape.
  bool is_first(const Node& n) const { return seen_.at(std::get<CustomOutput>(n.prim).call.get())[0] == &n; }
  /// All outputs of the node's call: those of the tape, and new nodes for the others.
  Arrays outputs_of(const Node& n) const;

 private:
  std::unordered_map<const CustomCall*, std::vector<Node*>> seen_;  // in the order of the tape
};

/// What the call was made with; `outputs` as outputs_of() gives them.
Arrays primals_of(const Arrays& outputs);

/// The call's rules, their results checked: one array per primal (output) of its shape and dtype, or empty. An empty
/// cotangent (tangent) stands for zeros.
Arrays call_vjp(const Arrays& primals, const Arrays& outputs, const Arrays& cotangents);
Arrays call_jvp(const Arrays& primals, const Arrays& outputs, const Arrays& tangents);

}  // namespace nhwc
