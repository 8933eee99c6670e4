// csrc/grad/vjp.cpp -- reverse mode: the walk over the tape, and the functions made of it
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

class ReverseWalk {
 public:
  ReverseWalk(const Arrays& sources, const Arrays& outputs, uint64_t since)
      : tape_(sources, outputs, since, Direction::reverse), cotangents_(tape_.nodes().size()), calls_(tape_) {}

  void add_to(const Array& a, const Array& ct) {
    const int at = ct ? tape_.position(a) : -1;
    if (at < 0) return;
    NHWC_CHECK(ct.shape() == a.shape() && ct.dtype() == a.dtype(), message("cotangent of ", name(a.node()->prim)));
    Array& sum = cotangents_[at];
    sum = sum ? add(sum, ct) : ct;
  }

  void run() {
    for (size_t i = tape_.nodes().size(); i-- > tape_.sources();) {
      Node& n = *tape_.nodes()[i];
      StreamScope on(stream_of(n.stream));
      const auto* custom = std::get_if<CustomOutput>(&n.prim);
      if (custom && custom->call->vjp) {
        // The first node of a call is reached after every user of every output of it.
        if (calls_.is_first(n)) propagate_call(calls_.outputs_of(n));
      } else if (cotangents_[i]) {
        propagate(n, cotangents_[i]);
        cotangents_[i] = Array();
      }
    }
  }

  Array at_source(const Array& a) const { return tape_.has(a) ? cotangents_[tape_.position(a)] : Array(); }

 private:
  void propagate(Node& n, const Array& ct) {
    Needed needed;
    for (const Array& in : n.inputs) needed.push_back(tape_.has(in));
    const Arrays cts = cotangents(n, ct, needed);
    for (size_t i = 0; i < cts.size(); ++i)
      if (needed[i]) add_to(n.inputs[i], cts[i]);
  }

  void propagate_call(const Arrays& outputs) {
    Arrays cts;
    for (const Array& o : outputs) cts.push_back(tape_.has(o) ? cotangents_[tape_.position(o)] : Array());
    if (std::none_of(cts.begin(), cts.end(), [](const Array& c) { return bool(c); })) return;
    const Arrays primals = primals_of(outputs);
    const Arrays result = call_vjp(primals, outputs, cts);
    for (size_t i = 0; i < primals.size(); ++i) add_to(primals[i], result[i]);
  }

  Tape tape_;
  Arrays cotangents_;  // by place on the tape
  CustomCalls calls_;
};

/// Zeros where nothing flows to a primal.
Arrays filled(Arrays gradients, const Arrays& primals) {
  for (size_t i = 0; i < primals.size(); ++i)
    if (!gradients[i]) gradients[i] = zeros_like(primals[i]);
  return gradients;
}

Arrays checked_cotangents(const Arrays& outputs, const Arrays& cotangents) {
  if (outputs.size() != cotangents.size())
    raise<ValueError>("[vjp] the function has ", outputs.size(), " outputs but ", cotangents.size(),
                      " cotangents were given; give one per output");
  Arrays result;
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].shape() != cotangents[i].shape())
      raise<ValueError>("[vjp] output ", i, " has shape ", to_string(outputs[i].shape()),
                        " but its cotangent has shape ", to_string(cotangents[i].shape()), "; they must be equal");
    result.push_back(astype(cotangents[i], outputs[i].dtype()));
  }
  return result;
}

void require_floating(const Arrays& arguments, const std::vector<int>& argnums) {
  for (int a : argnums) {
    if (a < 0 || a >= static_cast<int>(arguments.size()))
      raise<ValueError>("[value_and_grad] argument number ", a, " does not exist: the function was called with ",
                        arguments.size(), " arguments; argnums must lie in [0, ", arguments.size(), ")");
    if (!is_floating(arguments[a].dtype()))
      raise<ValueError>(
          "[value_and_grad] argument ", a, " has dtype ", name(arguments[a].dtype()),
          ", which has no gradient; expected a floating one: convert it with astype, or leave it out of argnums");
  }
}

void require_scalar(const Arrays& outputs) {
  if (outputs.empty()) raise<ValueError>("[value_and_grad] the function returned no array; expected a scalar first");
  const Array& v = outputs[0];
  if (v.ndim() != 0)
    raise<ValueError>("[value_and_grad] the function whose gradient is asked for returned shape ", to_string(v.shape()),
                      "; expected a scalar: reduce it with sum() or mean(), or use vjp");
  if (!is_floating(v.dtype()))
    raise<ValueError>("[value_and_grad] the function whose gradient is asked for returned dtype ", name(v.dtype()),
                      "; expected a floating one");
}

}  // namespace

Arrays pullback(const Arrays& sources, const Arrays& outputs, const Arrays& cotangents, uint64_t since) {
  ReverseWalk walk(sources, outputs, since);
  for (size_t i = 0; i < outputs.size(); ++i) walk.add_to(outputs[i], cotangents[i]);
  walk.run();
  Arrays result;
  for (const Array& s : sources) result.push_back(walk.at_source(s));
  return result;
}

std::pair<Arrays, Arrays> vjp(const Function& f, const Arrays& primals, const Arrays& cotangents) {
  TraceScope scope;
  Arrays tracers;
  for (const Array& p : primals) tracers.push_back(make_tracer(p));
  const Arrays outputs = f(tracers);
  const Arrays cts = checked_cotangents(outputs, cotangents);
  return {outputs, filled(pullback(tracers, outputs, cts, scope.id()), primals)};
}

std::function<std::pair<Arrays, Arrays>(const Arrays&)> value_and_grad(const Function& f,
                                                                       const std::vector<int>& argnums) {
  return [f, argnums](const Arrays& arguments) -> std::pair<Arrays, Arrays> {
    require_floating(arguments, argnums);
    TraceScope scope;
    Arrays all = arguments, by, tracers;
    for (int a : argnums) {
      if (all[a].node() == arguments[a].node()) all[a] = make_tracer(arguments[a]);  // a number may come twice
      by.push_back(arguments[a]);
      tracers.push_back(all[a]);
    }
    const Arrays outputs = f(all);
    require_scalar(outputs);
    const Array one = Array::scalar(1, outputs[0].dtype());
    return {outputs, filled(pullback(tracers, {outputs[0]}, {one}, scope.id()), by)};
  };
}

}  // namespace nhwc
