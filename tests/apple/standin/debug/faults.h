// tests/apple/standin/debug/faults.h -- failures that a test asks for
#pragma once

#include <cstdint>
#include <string>

// A fault is "name", "name=value" or "name=count:value", several are separated by commas; NHWC_STANDIN_FAULTS has those
// that are there from the start, nhwc_standin_fault() adds. hooks.h lists them.

namespace standin {

/// Whether a fault of that name is set, and its number: "family=6" -> 6.
bool fault_value(const char* name, uint64_t* value);
/// Counts one occurrence of `name` down; whether it is the one that fails. `what` gets the word after the count. A
/// fault that has hit is gone.
bool fault_hits(const char* name, std::string* what = nullptr);

}  // namespace standin
