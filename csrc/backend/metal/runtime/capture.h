// csrc/backend/metal/runtime/capture.h -- GPU traces for Xcode
#pragma once

#include "backend/metal/runtime/device.h"

namespace nhwc::metal {

/// Records what is encoded from now on to `path`, which ends in .gputrace and is not there yet.
void begin_capture(const Device& device, const char* path);
/// Writes the trace; nothing where none was begun.
void end_capture();

}  // namespace nhwc::metal
