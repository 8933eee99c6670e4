// csrc/backend/no_gpu.cpp -- stands for backend/metal in a build that can have no GPU (NHWC_GPU=OFF): nothing is ever
// on one, so nothing gets here
#include "backend/metal/launch.h"
#include "backend/metal/run.h"
#include "nhwc/error.h"

namespace nhwc::metal {
namespace {

[[noreturn]] void missing() { raise_bug("this build has no GPU", "NHWC_GPU", __FILE__, __LINE__); }

}  // namespace

#define NHWC_MISSING(Primitive) \
  void run(const Primitive&, Node&) { missing(); }
NHWC_MISSING(Unary)
NHWC_MISSING(Binary)
NHWC_MISSING(Select)
NHWC_MISSING(Cast)
NHWC_MISSING(Reduce)
NHWC_MISSING(ArgReduce)
NHWC_MISSING(Scan)
NHWC_MISSING(Sort)
NHWC_MISSING(Softmax)
NHWC_MISSING(Reshape)
NHWC_MISSING(Transpose)
NHWC_MISSING(Broadcast)
NHWC_MISSING(Slice)
NHWC_MISSING(SliceUpdate)
NHWC_MISSING(Concatenate)
NHWC_MISSING(Gather)
NHWC_MISSING(Scatter)
NHWC_MISSING(GatherAxis)
NHWC_MISSING(ScatterAxis)
NHWC_MISSING(Arange)
NHWC_MISSING(RandomBits)
NHWC_MISSING(Matmul)
NHWC_MISSING(Conv)
NHWC_MISSING(Identity)
NHWC_MISSING(CustomOutput)
NHWC_MISSING(HostCall)
NHWC_MISSING(OptimizerUpdate)
NHWC_MISSING(OptimizerOutput)
#undef NHWC_MISSING

void run_conv_fused(const Conv&, const Node&, const Node*, const Node*, Activation, Node&) { missing(); }
void run_chain(const Chain&, Node&) { missing(); }
void run_reduced_chain(const Reduce&, const Chain&, Node&) { missing(); }
std::string explain(const Conv&, const Node&) { missing(); }
StepContext& current_step() { missing(); }
void spare_scratch(size_t) { missing(); }

}  // namespace nhwc::metal
