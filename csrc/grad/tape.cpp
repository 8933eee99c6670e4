// csrc/grad/tape.cpp -- finds the part of a graph that a derivative flows through
#include "grad/tape.h"

namespace nhwc {
namespace {

// Whether a derivative may flow from input `i` to the node. A custom function with a rule for the direction hides its
// body.
bool carries(const Node& n, uint32_t i, Direction direction) {
  if (!is_floating(n.inputs[i].dtype())) return false;
  if (const auto* custom = std::get_if<CustomOutput>(&n.prim)) {
    const bool has_rule = direction == Direction::reverse ? bool(custom->call->vjp) : bool(custom->call->jvp);
    return has_rule ? i >= custom->call->outputs : i == static_cast<uint32_t>(custom->index);
  }
  if (const auto* identity = std::get_if<Identity>(&n.prim))
    return i == 0 && identity->kind != IdentityKind::stop_gradient;
  return true;
}

}  // namespace

Tape::Tape(const Arrays& sources, const Arrays& outputs, uint64_t since, Direction direction) {
  struct Visit {
    Node* node;
    uint32_t next = 0;
    bool depends = false;
  };
  for (const Array& s : sources) {
    if (!is_floating(s.dtype())) continue;
    position_[s.node()] = static_cast<int>(nodes_.size());
    nodes_.push_back(s.node());
  }
  sources_ = nodes_.size();
  std::vector<Visit> stack;
  auto visit = [&](const Array& a) {  // whether `a` depends on the sources, as far as is known yet
    Node* n = a.node();
    if (!n->tracer() || n->trace < since || !is_floating(n->dtype)) return false;
    auto [it, fresh] = position_.try_emplace(n, -1);
    if (fresh) stack.push_back({n});
    return it->second >= 0;
  };
  for (const Array& o : outputs) {
    visit(o);
    while (!stack.empty()) {
      const size_t top = stack.size() - 1;
      Node* n = stack[top].node;
      if (stack[top].next < n->inputs.size()) {
        const uint32_t i = stack[top].next++;
        if (carries(*n, i, direction) && visit(n->inputs[i])) stack[top].depends = true;
        continue;
      }
      const bool depends = stack[top].depends;
      stack.pop_back();
      if (!depends) continue;
      position_[n] = static_cast<int>(nodes_.size());
      nodes_.push_back(n);
      if (!stack.empty()) stack.back().depends = true;  // the node from which this one was reached
    }
  }
}

}  // namespace nhwc
