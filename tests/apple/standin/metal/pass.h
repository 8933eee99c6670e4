// tests/apple/standin/metal/pass.h -- what encoders write into a command buffer: data that the queue's thread runs
#pragma once

#include <array>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "standin/metal/library.h"

namespace standin {

struct Event;
struct CounterSampleBuffer;

/// Bytes of the GPU's memory that a command touches. `buffer` only for names; it may be gone when they are read.
struct Access {
  uintptr_t begin, end;
  bool written;
  bool tracked;  // Metal orders what passes of a queue do to it
  std::string buffer;
};

/// One kernel with all that was bound.
struct Dispatch {
  Pipeline* pipeline;
  struct Bound {
    char* data = nullptr;
    uint64_t bytes = 0;
    std::shared_ptr<std::vector<unsigned char>> copy;  // of setBytes
  };
  std::array<Bound, kMaxBindings> buffers;
  std::array<uint32_t, kMaxBindings> threadgroup_bytes{};
  Size groups, threads, grid;  // grid: of dispatchThreads, else zeros
};

struct Fill {
  char* data;
  UInteger bytes;
  unsigned char value;
};
struct Copy {
  const char* from;
  char* to;
  UInteger bytes;
};

struct Command {
  std::variant<Dispatch, Fill, Copy> what;
  std::vector<Access> accesses;
  std::string name;  // of the kernel
};

/// Commands that may run at once: between two barriers of a concurrent pass; one alone in a serial pass.
struct Interval {
  std::vector<Command> commands;
  /// Pairs whose bindings meet; the order of the interval is then tried both ways, which shows whether it matters.
  std::vector<std::string> suspects;
};

/// What orders a pass against others, in the order it was encoded: fences, and the commands in between.
struct Step {
  enum Kind { command, wait_fence, update_fence } kind;
  uint64_t fence = 0;              // serial
  size_t interval = 0, index = 0;  // of the command
};

/// What one encoder encoded.
struct Pass {
  std::string label;
  std::vector<Interval> intervals;
  std::vector<Step> steps;
  CounterSampleBuffer* samples = nullptr;
  UInteger start_sample = 0, end_sample = 0;
  UInteger commands() const {
    UInteger sum = 0;
    for (const Interval& i : intervals) sum += i.commands.size();
    return sum;
  }
};

struct Signal {
  Event* event;
  uint64_t value;
};
struct Wait {
  Event* event;
  uint64_t value;
};

using Item = std::variant<std::shared_ptr<Pass>, Signal, Wait>;

/// The error that a test wants the command buffer committed now to end with; 0: none.
Integer injected_error();

/// Runs an interval, last command first; false where the emulator found fault with a kernel, which is reported.
bool run_interval(const Interval& interval);

}  // namespace standin
