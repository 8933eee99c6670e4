// csrc/trace/vmap_custom.cpp -- batching of functions with rules of their own
#include "nhwc/error.h"
#include "nhwc/transforms.h"
#include "trace/batching.h"

namespace nhwc {
namespace {

Arrays outputs_by_rule(const CustomCall& call, const Arrays& primals, const std::vector<int>& axes, const Batching& b) {
  auto [outputs, out_axes] = call.vmap(primals, axes);
  if (outputs.size() != call.outputs || out_axes.size() != call.outputs)
    raise<ValueError>("[custom_function] the vmap rule returned ", outputs.size(), " arrays and ", out_axes.size(),
                      " axes; expected ", call.outputs, " of each, one per output of the function");
  for (size_t i = 0; i < outputs.size(); ++i) {
    const Shape expected = b.with_batch(b.n.inputs[i].shape());
    Array& o = outputs[i];
    if (!o) raise<ValueError>("[custom_function] the vmap rule returned no array for output ", i);
    if (out_axes[i] == kNoAxis)
      o = broadcast_to(o, expected);
    else
      o = moveaxis(o, out_axes[i], 0);
    if (o.shape() != expected)
      raise<ValueError>("[custom_function] the vmap rule returned shape ", to_string(o.shape()),
                        " (mapped axis first) for output ", i, "; expected ", to_string(expected));
    o = astype(o, b.n.inputs[i].dtype());
  }
  return outputs;
}

// The derivatives of a batched call are those of one element, batched. What reaches a primal that all elements share is
// summed over them.
std::shared_ptr<const CustomCall> batched_call(const std::shared_ptr<const CustomCall>& one,
                                               const std::vector<int>& axes, const Node& n) {
  auto call = std::make_shared<CustomCall>();
  call->outputs = one->outputs;
  if (one->vjp) {
    call->vjp = [one, axes](const Arrays& primals, const Arrays& outputs, const Arrays& cotangents) {
      const size_t np = primals.size(), no = outputs.size();
      auto element = [&](const Arrays& v) {
        const Arrays p(v.begin(), v.begin() + np), o(v.begin() + np, v.begin() + np + no),
            c(v.begin() + np + no, v.end());
        Arrays result = one->vjp(p, o, c);
        for (size_t i = 0; i < result.size() && i < np; ++i)
          if (!result[i]) result[i] = zeros_like(p[i]);
        return result;
      };
      Arrays all = primals;
      all.insert(all.end(), outputs.begin(), outputs.end());
      all.insert(all.end(), cotangents.begin(), cotangents.end());
      std::vector<int> in_axes = axes;
      in_axes.resize(all.size(), 0);
      Arrays result = vmap(element, in_axes, {0})(all);
      for (size_t i = 0; i < result.size() && i < np; ++i)
        if (axes[i] == kNoAxis) result[i] = sum(result[i], std::vector<int>{0});
      return result;
    };
  }
  if (one->jvp) {
    std::vector<std::pair<Shape, Dtype>> results;
    for (size_t i = 0; i < one->outputs; ++i) results.push_back({n.inputs[i].shape(), n.inputs[i].dtype()});
    call->jvp = [one, axes, results](const Arrays& primals, const Arrays& tangents) {
      const size_t np = primals.size();
      auto element = [&](const Arrays& v) {
        Arrays out = one->jvp({v.begin(), v.begin() + np}, {v.begin() + np, v.end()});
        for (size_t i = 0; i < out.size() && i < results.size(); ++i)
          if (!out[i]) out[i] = zeros(results[i].first, results[i].second);
        return out;
      };
      Arrays all = primals;
      all.insert(all.end(), tangents.begin(), tangents.end());
      std::vector<int> in_axes = axes;
      in_axes.insert(in_axes.end(), axes.begin(), axes.end());
      return vmap(element, in_axes, {0})(all);
    };
  }
  return call;
}

}  // namespace

Arrays batch_call(const std::shared_ptr<const CustomCall>& call, const Batching& b) {
  Arrays primals, outputs;
  std::vector<int> axes;
  for (size_t i = call->outputs; i < b.in.size(); ++i) {
    primals.push_back(b.in[i].a);
    axes.push_back(b.batched(i) ? 0 : kNoAxis);
  }
  if (call->vmap)
    outputs = outputs_by_rule(*call, primals, axes, b);
  else
    for (size_t i = 0; i < call->outputs; ++i) outputs.push_back(b.wide(i));
  if (!call->vjp && !call->jvp) return outputs;
  NodeInputs inputs(outputs.begin(), outputs.end());
  inputs.append(primals.begin(), primals.end());
  const auto batched = batched_call(call, axes, b.n);
  Arrays result;
  for (size_t i = 0; i < outputs.size(); ++i)
    result.push_back(make_node(CustomOutput{batched, static_cast<int>(i)}, outputs[i].shape(), outputs[i].dtype(),
                               inputs, b.n.stream));
  return result;
}

}  // namespace nhwc
