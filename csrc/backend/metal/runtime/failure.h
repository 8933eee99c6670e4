// csrc/backend/metal/runtime/failure.h -- errors inside the runtime, and how they leave it
#pragma once

#include <cstdio>
#include <exception>
#include <new>
#include <string>
#include <utility>

#include "base/gpu_runtime.h"

namespace nhwc::metal {

/// Thrown within the runtime; guarded() turns it into a status before it could cross the C interface.
struct Failure {
  GpuStatus status;
  std::string text;
};

[[noreturn]] inline void fail(GpuStatus status, std::string text) { throw Failure{status, std::move(text)}; }

inline void describe(GpuError* error, const std::string& text) {
  if (error) std::snprintf(error->text, sizeof error->text, "%s", text.c_str());
}

/// Runs `f`; what it throws becomes the status, the text goes to `error`.
template <class F>
GpuStatus guarded(GpuError* error, F&& f) noexcept {
  try {
    f();
    return GpuStatus::ok;
  } catch (const Failure& failure) {
    describe(error, failure.text);
    return failure.status;
  } catch (const std::bad_alloc&) {
    describe(error, "the system has no more memory");
    return GpuStatus::out_of_memory;
  } catch (const std::exception& e) {
    describe(error, e.what());
    return GpuStatus::failed;
  } catch (...) {  // an Objective-C exception: Metal's validation is on, or a call was wrong
    describe(error, "Metal raised an exception");
    return GpuStatus::failed;
  }
}

}  // namespace nhwc::metal
