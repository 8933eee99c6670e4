// csrc/ops/update.cpp -- makes the nodes of an optimizer's step
#include "ops/update.h"

#include "graph/trace_scope.h"

namespace nhwc {

bool can_update() { return !transforming() && !stream_on_gpu(current_stream()); }

Arrays update(std::shared_ptr<const UpdateCall> call, NodeInputs&& inputs) {
  const size_t per_parameter = call->outputs();
  std::vector<Shape> shapes;
  shapes.reserve(call->count);
  for (size_t i = 0; i < call->count; ++i) shapes.push_back(inputs[call->first_input(i)].shape());
  const size_t count = call->count;
  const Array pass = make_node(OptimizerUpdate{std::move(call), nullptr}, Shape{0}, Dtype::float32, std::move(inputs));
  Arrays outputs;
  outputs.reserve(count * per_parameter);
  for (size_t i = 0; i < count; ++i)
    for (size_t k = 0; k < per_parameter; ++k)
      outputs.push_back(
          make_node(OptimizerOutput{static_cast<int>(outputs.size())}, shapes[i], Dtype::float32, {pass}));
  return outputs;
}

}  // namespace nhwc
