// csrc/include/nhwc/transforms.h -- evaluation, and the transformations of functions
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "nhwc/array.h"

namespace nhwc {

// ---- eval/
/// Computes the arrays; on return each is ready. An exception leaves what was not computed lazy and everything usable.
void eval(const Arrays& arrays);
/// The same on the stream's own thread; an error shows when an array is used.
void async_eval(const Arrays& arrays);
/// Waits for what async_eval was given.
void synchronize();
/// The graph behind the arrays in Graphviz's language.
std::string export_to_dot(const Arrays& outputs, const std::vector<std::string>& names = {});

/// Plan of the convolution that computes `y` (itself, or the nearest one it is computed from); ValueError where there
/// is none.
std::string explain(const Array& y);

// ---- grad/
using Function = std::function<Arrays(const Arrays&)>;
/// Outputs, and the sums over them of cotangent times derivative, one per primal.
std::pair<Arrays, Arrays> vjp(const Function& f, const Arrays& primals, const Arrays& cotangents);
/// Outputs, and their derivatives along the tangents.
std::pair<Arrays, Arrays> jvp(const Function& f, const Arrays& primals, const Arrays& tangents);
/// f's outputs and the gradient of the first, a scalar, by the arguments `argnums`.
std::function<std::pair<Arrays, Arrays>(const Arrays&)> value_and_grad(const Function& f,
                                                                       const std::vector<int>& argnums);
/// f with derivatives of its own. A rule that is not given is that of what f computes. An empty Array as a cotangent
/// means zero; axes may be kNoAxis; what f captures beside its arguments gets no gradient where `vjp` is given.
struct CustomRules {
  std::function<Arrays(const Arrays& primals, const Arrays& outputs, const Arrays& cotangents)> vjp;
  std::function<Arrays(const Arrays& primals, const Arrays& tangents)> jvp;
  std::function<std::pair<Arrays, std::vector<int>>(const Arrays& primals, const std::vector<int>& axes)> vmap;
};
Function custom_function(const Function& f, const CustomRules& rules);
/// f whose intermediate arrays are computed again in the backward pass instead of kept. f itself is not called again:
/// what it drew at random stays the same, and arrays that it captures get their gradients.
Function checkpoint(const Function& f);

// ---- trace/
/// f over an axis of its arguments; kNoAxis in `in_axes` or `out_axes`: not mapped. One of `out_axes` may stand for all
/// outputs.
inline constexpr int kNoAxis = INT32_MIN;
Function vmap(const Function& f, const std::vector<int>& in_axes, const std::vector<int>& out_axes);
/// The same, with out_axes asked for once f has been traced: they may depend on how many arrays it returns.
Function vmap_deferred(const Function& f, const std::vector<int>& in_axes,
                       const std::function<std::vector<int>()>& out_axes_of);

/// A traced function, ready to be replayed on arguments of the same shapes and dtypes.
class CompiledTrace;
std::shared_ptr<const CompiledTrace> trace_function(const Function& f, const Arrays& arguments);
/// The outputs as new arrays, without calling f. They can be transformed like any others.
Arrays replay(const CompiledTrace& t, const Arrays& arguments);
void set_compile_enabled(bool on);
bool compile_enabled();

}  // namespace nhwc
