// csrc/ops/common.h -- what the operations share
#pragma once

#include "graph/node.h"
#include "nhwc/error.h"
#include "nhwc/ops.h"

namespace nhwc {

/// The axes of a reduction, ascending and unique; all of them for nullopt.
Dims resolve_axes(const Axes& axes, int ndim, const char* who);
/// `a` as floating: integers and bool become float32.
Array as_floating(const Array& a);
/// The same in float32 at least: what sums in the half types are computed in.
Array widened(const Array& a);
/// Both of one dtype (promoted) and one shape (broadcast).
std::pair<Array, Array> promote_and_broadcast(const Array& a, const Array& b, const char* who);
/// ValueError unless `a` holds integers.
void require_integers(const Array& a, const char* who, const char* what);
/// A scalar of x's dtype (float32 for integers): constants in composites.
Array constant_like(double v, const Array& x);

}  // namespace nhwc
