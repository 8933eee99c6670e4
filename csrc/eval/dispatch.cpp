// csrc/eval/dispatch.cpp -- the only place that chooses between backends
#include "eval/dispatch.h"

#include "backend/cpu/run.h"
#include "backend/metal/run.h"
#include "nhwc/error.h"

namespace nhwc {
namespace {

struct Run {
  Node& n;
  bool gpu, may_reuse;

  void operator()(const Data&) const { NHWC_CHECK(false, "a leaf that is not ready"); }
  void operator()(const Placeholder&) const {
    raise<ValueError>(
        "[eval] an argument of a function that is being traced by vmap or compile has no value yet, got shape ",
        to_string(n.shape), "; do not evaluate, print or convert arrays inside the function");
  }
  template <class P>
  void operator()(const P& p) const {
    if (gpu)
      metal::run(p, n);
    else
      cpu::run(p, n, may_reuse);
  }
};

}  // namespace

void dispatch(Node& n, bool may_reuse) { std::visit(Run{n, on_gpu(n), may_reuse}, n.prim); }

}  // namespace nhwc
