// csrc/graph/trace_scope.cpp -- tracers, and the tape that a transformation reads
#include "graph/trace_scope.h"

#include <atomic>
#include <unordered_set>

#include "graph/node.h"

namespace nhwc {
namespace {

thread_local int depth = 0, transformations = 0;  // scopes; those without `everything`
thread_local bool everything_on = false;
thread_local uint64_t innermost = 0,
                      newest = 0;  // scopes of this thread's outermost scope; newest has the largest number
std::atomic<uint64_t> traces{0};
constexpr uint64_t kScopeMask = (uint64_t(1) << kScopeBits) - 1;

}  // namespace

TraceScope::TraceScope(bool everything)
    : everything_(everything), everything_before_(everything_on), id_before_(innermost) {
  if (depth++ == 0)
    newest = ++traces << kScopeBits;
  else if ((newest & kScopeMask) != kScopeMask)
    ++newest;  // the last number is shared: a tape is then longer than it need be
  id_ = innermost = newest;
  everything_on |= everything;
  transformations += !everything;
}
TraceScope::~TraceScope() {
  --depth;
  innermost = id_before_;
  everything_on = everything_before_;
  transformations -= !everything_;
}
uint64_t current_trace() { return innermost; }
bool tracing() { return depth > 0; }
bool tracing_everything() { return everything_on; }
bool transforming() { return transformations > 0; }

Array make_tracer(const Array& x) {
  Array t = make_node(Identity{IdentityKind::alias}, x.shape(), x.dtype(), {x}, x.node()->stream);
  t.node()->trace = current_trace();
  return t;
}

Array make_placeholder(const Shape& shape, Dtype dtype) {
  Array t = make_node(Placeholder{}, shape, dtype, {});
  t.node()->trace = current_trace();
  return t;
}

std::vector<Node*> tape_of(const Arrays& outputs, uint64_t since) {
  std::vector<Node*> tape;
  std::unordered_set<Node*> seen;
  std::vector<std::pair<Node*, size_t>> stack;  // node, next input to look at
  auto visit = [&](const Array& a) {
    if (a && a.node()->tracer() && a.node()->trace >= since && seen.insert(a.node()).second)
      stack.push_back({a.node(), 0});
  };
  for (const Array& o : outputs) {
    visit(o);
    while (!stack.empty()) {
      auto& [n, next] = stack.back();
      if (next < n->inputs.size()) {
        visit(n->inputs[next++]);  // may move `stack`: n and next are not used after it
        continue;
      }
      tape.push_back(n);
      stack.pop_back();
    }
  }
  return tape;
}

}  // namespace nhwc
