// tests/apple/standin/debug/trace.h -- what each dispatch did, for the cost figures
#pragma once

#include <string>

#include "emulator/emulator.h"

namespace standin {

/// Whether NHWC_STANDIN_TRACE names a file.
bool tracing();
/// Adds a line of JSON to it: the kernel, the sizes of the launch and of its buffers, and the counters.
void trace(const std::string& kernel, const emu_launch& launch, const emu_counters& counters);

}  // namespace standin
