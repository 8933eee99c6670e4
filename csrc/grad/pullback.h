// csrc/grad/pullback.h -- the reverse walk over a graph that exists already
#pragma once

#include "nhwc/array.h"

namespace nhwc {

/// For each source the sum over the outputs of cotangent times derivative; an empty Array where nothing flows. `since`
/// is the id of the TraceScope, still alive, in which the sources were made. Cotangents have the outputs' shapes and
/// dtypes.
Arrays pullback(const Arrays& sources, const Arrays& outputs, const Arrays& cotangents, uint64_t since);

}  // namespace nhwc
