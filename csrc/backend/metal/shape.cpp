// csrc/backend/metal/shape.cpp -- views, and copies where there is no view
#include "backend/metal/run.h"
#include "backend/views.h"
#include "nhwc/error.h"

namespace nhwc::metal {
namespace {

void copy_of(Node& n, const Node& x) {
  allocate_output(n);
  copy_row_major(n.data(), x);
}

}  // namespace

void run(const Reshape& p, Node& n) {
  if (!make_view(p, n)) copy_of(n, *n.inputs[0].node());
}
void run(const Transpose& p, Node& n) { make_view(p, n); }
void run(const Broadcast& p, Node& n) { make_view(p, n); }
void run(const Slice& p, Node& n) { make_view(p, n); }
void run(const Identity& p, Node& n) {
  if (!make_view(p, n)) copy_of(n, *n.inputs[0].node());
}
void run(const CustomOutput& p, Node& n) { make_view(p, n); }
// Their nodes are the CPU's: here optimizers make chains.
void run(const HostCall&, Node&) { NHWC_CHECK(false, "a call of the host on the GPU"); }
void run(const OptimizerUpdate&, Node&) { NHWC_CHECK(false, "an update on the GPU"); }
void run(const OptimizerOutput&, Node&) { NHWC_CHECK(false, "an update on the GPU"); }

}  // namespace nhwc::metal
