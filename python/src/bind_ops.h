// python/src/bind_ops.h -- the parts of bind_ops, and the text their docstrings share
#pragma once

#include "bind.h"
#include "convert.h"

namespace nhwc::py {

void bind_creation(nb::module_& m);
void bind_unary(nb::module_& m);
void bind_binary(nb::module_& m);
void bind_reductions(nb::module_& m);
void bind_shapes(nb::module_& m);
void bind_taking(nb::module_& m);

}  // namespace nhwc::py

#define NHWC_STREAM_SIG "*, stream: Stream | Device | DeviceType | None = None)"
#define NHWC_STREAM_ARG nb::kw_only(), nb::arg("stream") = nb::none()
#define NHWC_STREAM_DOC "    stream (Stream | Device, optional): where it runs. Default: the current stream.\n"
#define NHWC_SCALAR_SIG "bool | int | float | array"
#define NHWC_EXAMPLE "\nExample:\n    >>> "
