// csrc/trace/compile.cpp -- functions traced once and replayed
#include <atomic>

#include "base/env.h"
#include "graph/program.h"
#include "graph/trace_scope.h"
#include "nhwc/error.h"
#include "nhwc/transforms.h"

namespace nhwc {
namespace {

std::atomic<bool>& enabled() {
  static std::atomic<bool> on{env_int("NHWC_DISABLE_COMPILE", 0, 0) == 0};
  return on;
}

struct Signature {
  Shape shape;
  Dtype dtype;
};

}  // namespace

class CompiledTrace {
 public:
  CompiledTrace(const Arrays& arguments, const Arrays& outputs, uint64_t since) : program(arguments, outputs, since) {
    for (const Array& a : arguments) signature.push_back({a.shape(), a.dtype()});
  }
  Program program;
  std::vector<Signature> signature;
};

std::shared_ptr<const CompiledTrace> trace_function(const Function& f, const Arrays& arguments) {
  TraceScope scope(true);
  Arrays placeholders;
  for (const Array& a : arguments) placeholders.push_back(make_placeholder(a.shape(), a.dtype()));
  const Arrays outputs = f(placeholders);
  return std::make_shared<const CompiledTrace>(placeholders, outputs, scope.id());
}

Arrays replay(const CompiledTrace& t, const Arrays& arguments) {
  if (arguments.size() != t.signature.size())
    raise<ValueError>("[compile] got ", arguments.size(), " arrays; the function was traced with ", t.signature.size());
  for (size_t i = 0; i < arguments.size(); ++i) {
    const Signature& s = t.signature[i];
    if (arguments[i].shape() != s.shape || arguments[i].dtype() != s.dtype)
      raise<ValueError>("[compile] array ", i, " is ", to_string(arguments[i].shape()), " ", name(arguments[i].dtype()),
                        "; the function was traced with ", to_string(s.shape), " ", name(s.dtype), ": trace it again");
  }
  return t.program.build(arguments);
}

void set_compile_enabled(bool on) { enabled().store(on, std::memory_order_relaxed); }
bool compile_enabled() { return enabled().load(std::memory_order_relaxed); }

}  // namespace nhwc
