// csrc/backend/metal/runtime/forks.h -- a forked child must not use its parent's GPU
#pragma once

#include <shared_mutex>

namespace nhwc::metal {

/// Holds `mutex` across forks from now on. Once.
void watch_forks(std::shared_mutex& mutex);
/// Whether this process was forked after the GPU was opened.
bool forked();
/// Fails with no_device in such a process.
void refuse_forked();

}  // namespace nhwc::metal
