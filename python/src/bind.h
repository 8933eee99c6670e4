// python/src/bind.h -- the binding files: each binds one topic to the module
#pragma once

#include <nanobind/nanobind.h>

namespace nhwc::py {

namespace nb = nanobind;

void bind_errors(nb::module_& m);   // errors.cpp: C++ exceptions to Python's, Ctrl-C
void bind_dtype(nb::module_& m);    // Dtype, DtypeCategory, issubdtype, finfo, iinfo
void bind_device(nb::module_& m);   // Device, DeviceType, Stream, the cuda submodule
void bind_metal(nb::module_& m);    // the metal submodule
void bind_array(nb::module_& m);    // the class `array` with its operators, methods and indexing
void bind_interop(nb::module_& m);  // asarray, from_dlpack
void bind_info(nb::module_& m);
void bind_tune(nb::module_& m);  // what `python -m nhwc info` prints
void bind_ops(nb::module_& m);   // elementwise, reductions, shapes, creation
void bind_conv(nb::module_& m);
void bind_jax(nb::module_& m);     // what nhwc/jax builds on
void bind_linalg(nb::module_& m);  // the submodule linalg
void bind_fast(nb::module_& m);    // the submodule fast
void bind_random(nb::module_& m);  // the submodule random
void bind_transforms(nb::module_& m);
void bind_update(nb::module_& m);  // steps of optimizers
void bind_memory(nb::module_& m);
void bind_io(nb::module_& m);

}  // namespace nhwc::py
