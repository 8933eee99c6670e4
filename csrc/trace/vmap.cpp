// csrc/trace/vmap.cpp -- a function over an axis of its arguments: traced for one element, then computed for all at
// once
#include <unordered_map>

#include "graph/trace_scope.h"
#include "nhwc/error.h"
#include "nhwc/transforms.h"
#include "trace/batching.h"

namespace nhwc {
namespace {

int mapped_axis(int axis, int ndim, const Shape& shape, const char* what, size_t i) {
  if (axis < -ndim || axis >= ndim)
    raise<ValueError>("[vmap] axis ", axis, " does not exist in ", what, " ", i, " of shape ", to_string(shape),
                      "; expected one in [", -ndim, ", ", ndim, "), or None to leave it unmapped");
  return axis < 0 ? axis + ndim : axis;
}

class BatchWalk {
 public:
  BatchWalk(const Arrays& arguments, const std::vector<int>& in_axes) {
    if (in_axes.size() != arguments.size())
      raise<ValueError>("[vmap] got ", arguments.size(), " arrays but ", in_axes.size(),
                        " in_axes; give one per array");
    size_t first = 0;
    for (size_t i = 0; i < arguments.size(); ++i) {
      const Array& a = arguments[i];
      if (in_axes[i] == kNoAxis) {
        traced_.push_back(a);
        continue;
      }
      const int axis = mapped_axis(in_axes[i], a.ndim(), a.shape(), "input", i);
      if (size_ < 0) first = i;
      if (size_ >= 0 && a.shape(axis) != size_)
        raise<ValueError>("[vmap] input ", i, " has ", a.shape(axis), " elements along axis ", axis, " but input ",
                          first, " has ", size_, " along its own; mapped axes must have one size");
      size_ = a.shape(axis);
      Shape one = a.shape();
      one.erase(axis);
      traced_.push_back(make_placeholder(one, a.dtype()));
      values_[traced_.back().node()] = moveaxis(a, axis, 0);
    }
    if (size_ < 0)
      raise<ValueError>(
          "[vmap] no input is mapped: every in_axes is None, or there are no arrays; map at least one axis");
  }

  /// The arguments for one element.
  const Arrays& traced() const { return traced_; }

  void run(const std::vector<Node*>& tape) {
    for (Node* n : tape)
      if (!values_.contains(n)) compute(*n);
  }

  /// `a`, which the function returned, with the batch at `axis`.
  Array output(const Array& a, int axis, size_t i) const {
    auto it = values_.find(a.node());
    if (axis == kNoAxis) {
      if (it != values_.end())
        raise<ValueError>("[vmap] output ", i, " depends on the mapped axis but its out_axes is None; give it an axis");
      return a;
    }
    Shape whole{size_};
    whole.append(a.shape().begin(), a.shape().end());
    const int to = mapped_axis(axis, static_cast<int>(whole.size()), whole, "output", i);
    return moveaxis(it != values_.end() ? it->second : broadcast_to(a, whole), 0, to);
  }

 private:
  void compute(Node& n) {
    std::vector<BatchedInput> inputs;
    bool depends = false;
    for (const Array& in : n.inputs) {
      auto it = values_.find(in.node());
      const bool batched = it != values_.end();
      inputs.push_back({batched ? it->second : in, batched});
      depends |= batched;
    }
    if (!depends) return;
    StreamScope on(stream_of(n.stream));
    values_[&n] = result({n, inputs, size_});
  }

  Array result(const Batching& b) {
    if (const auto* custom = std::get_if<CustomOutput>(&b.n.prim)) {
      Arrays& outputs = calls_[custom->call.get()];
      if (outputs.empty()) outputs = batch_call(custom->call, b);
      return outputs[custom->index];
    }
    const Array y = std::visit(
        [&]<class P>(const P& p) {
          if constexpr (std::is_same_v<P, CustomOutput>)
            return Array();
          else
            return batch_rule(p, b);
        },
        b.n.prim);
    NHWC_CHECK(y && y.shape() == b.with_batch(b.n.shape) && y.dtype() == b.n.dtype, "vmap of " + name(b.n.prim));
    return y;
  }

  int64_t size_ = -1;
  Arrays traced_;
  std::unordered_map<const Node*, Array> values_;  // what depends on the batch, with the batch as axis 0
  std::unordered_map<const CustomCall*, Arrays> calls_;
};

}  // namespace

Function vmap(const Function& f, const std::vector<int>& in_axes, const std::vector<int>& out_axes) {
  return vmap_deferred(f, in_axes, [out_axes] { return out_axes; });
}

Function vmap_deferred(const Function& f, const std::vector<int>& in_axes,
                       const std::function<std::vector<int>()>& out_axes_of) {
  return [f, in_axes, out_axes_of](const Arrays& arguments) {
    TraceScope scope;
    BatchWalk walk(arguments, in_axes);
    const Arrays traced = f(walk.traced());
    const std::vector<int> out_axes = out_axes_of();
    if (out_axes.size() != 1 && out_axes.size() != traced.size())
      raise<ValueError>("[vmap] the function returned ", traced.size(), " arrays but there are ", out_axes.size(),
                        " out_axes; give one for all or one per array");
    walk.run(tape_of(traced, scope.id()));
    Arrays outputs;
    for (size_t i = 0; i < traced.size(); ++i)
      outputs.push_back(walk.output(traced[i], out_axes.size() == 1 ? out_axes[0] : out_axes[i], i));
    return outputs;
  };
}

}  // namespace nhwc
