// tests/apple/standin/debug/hazards.h -- finds passes that touch the same memory with nothing that orders them
#pragma once

#include <cstdint>

#include "standin/metal/pass.h"

// When a command buffer is committed, its passes join a graph of what must precede what: fences, events, and what the
// CPU saw finished. Metal itself orders passes of one queue only for resources that it tracks. Within a pass the
// encoder looks; see Interval::suspects.

namespace standin {

/// The number of a new queue.
uint64_t new_timeline();

/// Commands of one command buffer, in the order that they run. Returns the mark to give observe_finished().
uint64_t log_commands(uint64_t timeline, const std::vector<Item>& items);

/// The CPU knows that all up to `mark` has run on a queue: what is committed from now on comes after it.
void observe_finished(uint64_t timeline, uint64_t mark);

/// The CPU saw the event (by its serial) reach a value.
void observe_event(uint64_t event, uint64_t value);

}  // namespace standin
