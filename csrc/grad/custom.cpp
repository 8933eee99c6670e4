// csrc/grad/custom.cpp -- functions with derivatives of their own; checkpoint is one
#include "grad/custom.h"

#include "grad/tape.h"
#include "graph/program.h"
#include "graph/trace_scope.h"
#include "nhwc/error.h"
#include "nhwc/ops.h"
#include "nhwc/transforms.h"

namespace nhwc {
namespace {

const CustomCall& call_of(const Arrays& outputs) { return *std::get<CustomOutput>(outputs[0].node()->prim).call; }

Arrays zeros_where_empty(Arrays values, const Arrays& like) {
  for (size_t i = 0; i < values.size(); ++i)
    if (!values[i]) values[i] = zeros_like(like[i]);
  return values;
}

// What a user's rule returned, for arrays `like`.
Arrays checked(const char* rule, const char* what, Arrays values, const Arrays& like) {
  if (values.size() != like.size())
    raise<ValueError>("[custom_function] the ", rule, " rule returned ", values.size(), " arrays; expected ",
                      like.size(), ", one per ", what);
  for (size_t i = 0; i < values.size(); ++i) {
    if (!values[i]) continue;
    if (values[i].shape() != like[i].shape())
      raise<ValueError>("[custom_function] the ", rule, " rule returned shape ", to_string(values[i].shape()), " for ",
                        what, " ", i, " of shape ", to_string(like[i].shape()), "; they must be equal");
    values[i] = is_floating(like[i].dtype()) ? astype(values[i], like[i].dtype()) : Array();
  }
  return values;
}

/// Nodes that give `outputs` and carry the call; `arguments` are what its rules are given as primals.
Arrays attach(const std::shared_ptr<const CustomCall>& call, const Arrays& outputs, const Arrays& arguments) {
  NodeInputs inputs(outputs.begin(), outputs.end());
  inputs.append(arguments.begin(), arguments.end());
  Arrays result;
  for (size_t i = 0; i < outputs.size(); ++i)
    result.push_back(
        make_node(CustomOutput{call, static_cast<int>(i)}, outputs[i].shape(), outputs[i].dtype(), inputs));
  return result;
}

// `primals`, available only once the cotangents are: what is computed from them waits for the backward pass.
Arrays fenced(const Arrays& primals, const Arrays& cotangents) {
  Arrays result;
  for (const Array& p : primals) result.push_back(depends(p, cotangents));
  return result;
}

}  // namespace

CustomCalls::CustomCalls(const Tape& tape) {
  for (Node* n : tape.nodes())
    if (const auto* custom = std::get_if<CustomOutput>(&n->prim)) seen_[custom->call.get()].push_back(n);
}

Arrays CustomCalls::outputs_of(const Node& n) const {
  const auto& call = std::get<CustomOutput>(n.prim).call;
  Arrays outputs(call->outputs);
  for (Node* s : seen_.at(call.get())) outputs[std::get<CustomOutput>(s->prim).index] = array_of(s);
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i]) continue;
    const Array& body = n.inputs[i];
    outputs[i] = make_node(CustomOutput{call, static_cast<int>(i)}, body.shape(), body.dtype(), n.inputs, n.stream);
  }
  return outputs;
}

Arrays primals_of(const Arrays& outputs) {
  const NodeInputs& inputs = outputs[0].node()->inputs;
  return {inputs.begin() + outputs.size(), inputs.end()};
}

Arrays call_vjp(const Arrays& primals, const Arrays& outputs, const Arrays& cotangents) {
  return checked("vjp", "primal", call_of(outputs).vjp(primals, outputs, zeros_where_empty(cotangents, outputs)),
                 primals);
}

Arrays call_jvp(const Arrays& primals, const Arrays& outputs, const Arrays& tangents) {
  return checked("jvp", "output", call_of(outputs).jvp(primals, zeros_where_empty(tangents, primals)), outputs);
}

Function custom_function(const Function& f, const CustomRules& rules) {
  return [f, rules](const Arrays& primals) {
    const Arrays outputs = f(primals);
    if (!tracing() || outputs.empty()) return outputs;
    auto call = std::make_shared<CustomCall>();
    call->vjp = rules.vjp;
    call->jvp = rules.jvp;
    call->vmap = rules.vmap;
    call->outputs = outputs.size();
    return attach(call, outputs, primals);
  };
}

// The body is recorded when it is first traced and built again from the record, not by calling f again: random keys
// drawn in f are then the same. Tracers that f reads besides its arguments (captured weights) become arguments of the
// record, so they get their gradients too.
Function checkpoint(const Function& f) {
  return [f](const Arrays& primals) {
    if (!tracing()) return f(primals);
    TraceScope scope(true);
    Arrays arguments;
    for (const Array& p : primals) arguments.push_back(make_tracer(p));
    const Arrays outputs = f(arguments);
    if (outputs.empty()) return outputs;
    Arrays all = primals;
    for (const Array& c : captured_tracers(arguments, outputs, scope.id())) {
      arguments.push_back(c);
      all.push_back(c);
    }
    auto program = std::make_shared<const Program>(arguments, outputs, scope.id());
    auto call = std::make_shared<CustomCall>();
    call->outputs = outputs.size();
    call->vjp = [program](const Arrays& args, const Arrays&, const Arrays& cotangents) {
      return vjp([&](const Arrays& again) { return program->build(again); }, fenced(args, cotangents), cotangents)
          .second;
    };
    return attach(call, outputs, all);
  };
}

}  // namespace nhwc
