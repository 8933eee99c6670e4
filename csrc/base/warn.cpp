// csrc/base/warn.cpp -- what a user should know of that is no error
#include "base/warn.h"

#include <atomic>
#include <cstdio>

namespace nhwc {
namespace {

std::atomic<void (*)(const std::string&)> handler{nullptr};

}  // namespace

void warn(const std::string& text) {
  if (auto* h = handler.load())
    h(text);
  else
    std::fprintf(stderr, "nhwc: %s\n", text.c_str());
}

void set_warning_handler(void (*h)(const std::string& text)) { handler.store(h); }

}  // namespace nhwc
