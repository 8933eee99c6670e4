// csrc/graph/primitives.h -- every primitive as a plain struct, and the closed variant over them
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/kinds.h"
#include "nhwc/array.h"
#include "plan/conv_problem.h"

namespace nhwc {

// What each reads and gives is said as (inputs) -> result. A struct holds only what the inputs' shapes and dtypes and
// the node's own shape and dtype do not already say.

struct Data {};         // () -> values that were given: a leaf
struct Placeholder {};  // () -> stands for an argument while a function is traced; never evaluated

struct Unary {  // (x) -> elementwise
  UnaryKind kind;
};
struct Binary {  // (a, b), both of the node's shape and of one dtype
  BinaryKind kind;
};
struct Select {};  // (condition bool, a, b), all of the node's shape -> condition ? a : b
struct Cast {};    // (x) -> x converted to the node's dtype
struct Reduce {    // (x) -> reduced over `axes` (ascending); with keepdims sizes 1 stay
  ReduceKind kind;
  Dims axes;
  bool keepdims;
};
struct ArgReduce {  // (x) -> uint32 index of the largest / smallest along `axis`, which is removed or kept as 1
  bool max;
  int axis;
  bool keepdims;
};
struct Scan {  // (x) -> cumulative sum or product along `axis`
  bool product;
  int axis;
  bool reverse, inclusive;
};
struct Sort {  // (x) -> sorted along `axis`, ascending, NaN last; stable. `indices`: the uint32 order instead
  int axis;
  bool indices;
};
struct Softmax {};  // (x) -> softmax along the last axis

struct Reshape {};  // (x) -> the node's shape; a view where strides allow
struct Transpose {  // (x) -> axis i of the result is axis perm[i] of x; a view
  Dims perm;
};
struct Broadcast {};  // (x) -> the node's shape by NumPy's rule; a view with strides 0
struct Slice {        // (x) -> element i along axis a is x[start[a] + i * step[a]]; step may be negative; a view
  Dims start, step;
};
enum class UpdateMode : uint8_t { set, add, multiply, maximum, minimum };
struct SliceUpdate {  // (x, update) -> x with x[start + i * step] combined with update[i]
  Dims start, step;
  UpdateMode mode;
};
struct Concatenate {  // (x0, x1, ...) -> along `axis`
  int axis;
};
struct Gather {  // (x, index0, index1, ...) -> integer arrays of one shape I pick along `axes` of x (one each); the
                 // result is I + slice_sizes, where slice_sizes[a] = 1 for indexed axes (kept) and the size taken from
                 // 0 else. Negative indices count from the end; out of range raises IndexError at eval
  Dims axes, slice_sizes;
};
struct Scatter {  // (x, index0, ..., updates) -> x with Gather's places combined with updates, of Gather's result
                  // shape. In the order of the updates: deterministic, the last wins for `set`
  Dims axes;
  UpdateMode mode;
};
struct GatherAxis {  // (x, indices) -> take_along_axis; indices has the node's shape
  int axis;
};
struct ScatterAxis {  // (x, indices, updates) -> put_along_axis; indices and updates have one shape
  int axis;
  UpdateMode mode;
};
struct Arange {  // () -> start + i * step, computed in double or int64
  double start, step;
  int64_t istart, istep;
};
struct RandomBits {  // (keys uint32 (..., 2)) -> uint32 bits of shape keys.shape[:-1] + rest, Threefry2x32 as in MLX
  int width;         // bytes per element: 1, 2 or 4; the node's dtype is uint8, uint16 or uint32
};

struct Matmul {};  // (a (..., m, k), b (..., k, n)), equal batch axes, floating -> (..., m, n)

struct Conv {  // forward: (x, w) -> y; input_grad: (gy, w) -> gx; weight_grad: (x, gy) -> gw
  ConvKind kind;
  std::shared_ptr<const ConvGeometry> geometry;
};

enum class IdentityKind : uint8_t { alias, stop_gradient, contiguous, depends };
struct Identity {  // (x, ...) -> x; `contiguous` copies where x is not row-major; `depends` waits for the other inputs
                   // too
  IdentityKind kind;
};

/// A function with its own gradient: every output of one call is a node of this kind, and they share the call.
struct CustomCall {
  /// (primals, outputs, cotangents) -> one cotangent per primal; an empty Array means zero. Empty: that of the traced
  /// body.
  std::function<Arrays(const Arrays&, const Arrays&, const Arrays&)> vjp;
  /// (primals, tangents) -> tangents of the outputs; empty: those of the traced body.
  std::function<Arrays(const Arrays&, const Arrays&)> jvp;
  /// (primals, axes (kNoAxis of transforms.h: not batched)) -> outputs and their axes; empty: the traced body is
  /// batched.
  std::function<std::pair<Arrays, std::vector<int>>(const Arrays&, const std::vector<int>&)> vmap;
  size_t outputs = 0;
};
struct CustomOutput {  // (out0, out1, ..., primal0, primal1, ...) -> out[index]; a view
  std::shared_ptr<const CustomCall> call;
  int index;
};

struct HostCall {  // (x) -> what a function of the host program makes of the evaluated x
  std::shared_ptr<const std::function<Array(const Array&)>> call;
};

struct OptimizerUpdate {  // (scalars..., then gradient, parameter, state... of each) -> no elements of its own; each
                          // result is the value of an OptimizerOutput
  std::shared_ptr<const struct UpdateCall> call;
  std::shared_ptr<struct UpdateResults> results;  // once it has run
};
struct OptimizerOutput {  // (update) -> result `index`: of the new parameter, its state, the next parameter, ...
  int index;
};

using Primitive =
    std::variant<Data, Placeholder, Unary, Binary, Select, Cast, Reduce, ArgReduce, Scan, Sort, Softmax, Reshape,
                 Transpose, Broadcast, Slice, SliceUpdate, Concatenate, Gather, Scatter, GatherAxis, ScatterAxis,
                 Arange, RandomBits, Matmul, Conv, Identity, CustomOutput, HostCall, OptimizerUpdate, OptimizerOutput>;

/// "add", "conv_input_grad", "reshape" ...: for messages, pictures and traces.
std::string name(const Primitive& p);

}  // namespace nhwc
