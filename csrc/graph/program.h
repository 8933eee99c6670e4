// csrc/graph/program.h -- a piece of graph recorded flat, to be built again on other arguments
#pragma once

#include "graph/node.h"

namespace nhwc {

/// Holds primitives, shapes and constants, but none of the recorded nodes that depend on an argument: what was computed
/// for them can be freed. Immutable: several threads may build from one program at once.
class Program {
 public:
  /// What `outputs` compute from `arguments`, as far as it was made in the TraceScope whose id `since` is. All else
  /// (older arrays, values given, small results that depend on no argument) is a constant. Nodes that compute the same
  /// are recorded once. Call it while the scope lives.
  Program(const Arrays& arguments, const Arrays& outputs, uint64_t since);

  /// The outputs as new nodes over `arguments`, whose shapes and dtypes must be those of the recorded ones.
  Arrays build(const Arrays& arguments) const;
  /// Nodes that a build makes, at most.
  size_t size() const { return steps_.size(); }

 private:
  friend class Recorder;
  using Slot = uint32_t;  // an argument; past those a step; with kConstant an index into constants_
  using Slots = InlineVec<Slot, 4>;
  static constexpr Slot kConstant = Slot(1) << 31;
  struct Step {
    Primitive prim;
    Shape shape;
    Dtype dtype;
    uint16_t stream;
    Slots inputs;
  };

  size_t arguments_;
  std::vector<Step> steps_;
  Arrays constants_;
  Slots outputs_;
};

/// The tracers older than the scope `since` that `outputs` read beside `arguments`: what the traced function captured.
Arrays captured_tracers(const Arrays& arguments, const Arrays& outputs, uint64_t since);

}  // namespace nhwc
