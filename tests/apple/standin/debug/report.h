// tests/apple/standin/debug/report.h -- where the debug layer says what a program did wrong
#pragma once

#include <string>

namespace standin {

/// Records "kind: text" and prints it; ends the process where NHWC_STANDIN_ON_ERROR is not "record". Kinds are words
/// that tests look for: "selector", "lifetime", "binding", "hazard" ...
void report(const char* kind, const std::string& text);

/// printf into a string.
__attribute__((format(printf, 1, 2))) std::string format(const char* pattern, ...);

}  // namespace standin
