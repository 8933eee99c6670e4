// csrc/backend/metal/runtime/sources.h -- the kernels' sources; the file that defines them is written by the build
#pragma once

#include <span>

namespace nhwc::metal {

/// metal/<topic>.metal with all that it includes: tools/flatten_metal.py.
struct EmbeddedSource {
  const char* topic;
  const char* text;
};

std::span<const EmbeddedSource> embedded_sources();

}  // namespace nhwc::metal
