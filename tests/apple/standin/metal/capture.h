// tests/apple/standin/metal/capture.h -- GPU traces: a folder with the names of the kernels that ran
#pragma once

#include <string>

namespace standin {

/// Notes a command where a trace is being captured.
void capture_command(const std::string& name);

}  // namespace standin
