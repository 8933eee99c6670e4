// csrc/ops/host_call.cpp -- makes the node of a call to the host program
#include "ops/host_call.h"

#include "nhwc/device.h"

namespace nhwc {

Array host_call(const Array& x, Shape shape, std::function<Array(const Array&)> call) {
  auto shared = std::make_shared<const std::function<Array(const Array&)>>(std::move(call));
  return make_node(HostCall{std::move(shared)}, std::move(shape), x.dtype(), {x}, default_stream(Device{}).index);
}

}  // namespace nhwc
