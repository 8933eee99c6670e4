// csrc/grad/jvp.cpp -- forward mode, from the same rules as reverse mode: each is linear in the cotangent, and is
// transposed
#include <algorithm>

#include "grad/custom.h"
#include "grad/pullback.h"
#include "grad/rules.h"
#include "grad/tape.h"
#include "graph/trace_scope.h"
#include "nhwc/error.h"
#include "nhwc/ops.h"
#include "nhwc/transforms.h"

namespace nhwc {
namespace {

class ForwardWalk {
 public:
  ForwardWalk(const Arrays& sources, const Arrays& tangents, const Arrays& outputs, uint64_t since)
      : tape_(sources, outputs, since, Direction::forward), tangents_(tape_.nodes().size()), calls_(tape_) {
    for (size_t i = 0; i < sources.size(); ++i)
      if (tape_.has(sources[i])) tangents_[tape_.position(sources[i])] = tangents[i];
  }

  void run() {
    for (size_t i = tape_.sources(); i < tape_.nodes().size(); ++i) {
      Node& n = *tape_.nodes()[i];
      StreamScope on(stream_of(n.stream));
      const auto* custom = std::get_if<CustomOutput>(&n.prim);
      if (!custom || !custom->call->jvp)
        tangents_[i] = push(n);
      else if (calls_.is_first(n))
        push_call(calls_.outputs_of(n));
    }
  }

  Array of(const Array& a) const { return tape_.has(a) ? tangents_[tape_.position(a)] : Array(); }

 private:
  // The rule applied to a cotangent u that is never computed gives J^T u; the pullback of the tangents through that is
  // J t.
  Array push(Node& n) const {
    Needed needed;
    for (const Array& in : n.inputs) needed.push_back(bool(of(in)));
    if (std::find(needed.begin(), needed.end(), true) == needed.end()) return {};
    TraceScope scope;
    const Array u = make_placeholder(n.shape, n.dtype);
    const Arrays all = cotangents(n, u, needed);
    Arrays transposed, tangents;
    for (size_t i = 0; i < all.size(); ++i) {
      if (!needed[i] || !all[i]) continue;
      transposed.push_back(all[i]);
      tangents.push_back(of(n.inputs[i]));
    }
    return pullback({u}, transposed, tangents, scope.id())[0];
  }

  void push_call(const Arrays& outputs) {
    const Arrays primals = primals_of(outputs);
    Arrays in;
    for (const Array& p : primals) in.push_back(of(p));
    if (std::none_of(in.begin(), in.end(), [](const Array& t) { return bool(t); })) return;
    const Arrays result = call_jvp(primals, outputs, in);
    for (size_t i = 0; i < outputs.size(); ++i)
      if (tape_.has(outputs[i])) tangents_[tape_.position(outputs[i])] = result[i];
  }

  Tape tape_;
  Arrays tangents_;  // by place on the tape; empty: zero
  CustomCalls calls_;
};

Arrays checked_tangents(const Arrays& primals, const Arrays& tangents) {
  if (primals.size() != tangents.size())
    raise<ValueError>("[jvp] there are ", primals.size(), " primals but ", tangents.size(),
                      " tangents; give one per primal");
  Arrays result;
  for (size_t i = 0; i < primals.size(); ++i) {
    if (primals[i].shape() != tangents[i].shape())
      raise<ValueError>("[jvp] primal ", i, " has shape ", to_string(primals[i].shape()), " but its tangent has shape ",
                        to_string(tangents[i].shape()), "; they must be equal");
    result.push_back(astype(tangents[i], primals[i].dtype()));
  }
  return result;
}

}  // namespace

std::pair<Arrays, Arrays> jvp(const Function& f, const Arrays& primals, const Arrays& tangents) {
  const Arrays in = checked_tangents(primals, tangents);
  TraceScope scope;
  Arrays tracers;
  for (const Array& p : primals) tracers.push_back(make_tracer(p));
  const Arrays outputs = f(tracers);
  ForwardWalk walk(tracers, in, outputs, scope.id());
  walk.run();
  Arrays result;
  for (const Array& o : outputs) {
    const Array t = walk.of(o);
    result.push_back(t ? t : zeros_like(o));
  }
  return {outputs, result};
}

}  // namespace nhwc
