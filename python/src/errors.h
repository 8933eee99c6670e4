// python/src/errors.h -- from C++ exceptions to Python's
#pragma once

namespace nhwc::py {

/// Inside a catch block: sets Python's error indicator from the exception being handled. For type slots, which nanobind
/// does not wrap.
void set_python_error() noexcept;

}  // namespace nhwc::py
