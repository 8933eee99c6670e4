// csrc/base/warn.h -- what a user should know of that is no error
#pragma once

#include <string>

namespace nhwc {

/// Says it, by the handler of the host program, or else on stderr. From any thread, with any lock held: a handler may
/// neither wait nor evaluate.
void warn(const std::string& text);
void set_warning_handler(void (*handler)(const std::string& text));

}  // namespace nhwc
