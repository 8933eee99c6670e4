// tests/apple/standin/metal/execute.cpp -- what a queue's thread does with a command buffer
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "standin/debug/faults.h"
#include "standin/debug/hazards.h"
#include "standin/debug/report.h"
#include "standin/debug/trace.h"
#include "standin/hooks.h"
#include "standin/metal/capture.h"
#include "standin/metal/event.h"
#include "standin/metal/queue.h"
#include "standin/metal/sampling.h"

namespace standin {
namespace {

constexpr const char* kDomain = "MTLCommandBufferErrorDomain";

struct EncoderInfo : Object {
  static constexpr const char* kClass = "MTLCommandBufferEncoderInfo";
  Ref<String> label;
  Ref<Array> signposts;
  Integer state = kEncoderUnknown;
};
using I = EncoderInfo;
const bool defined = define_class(
    "MTLCommandBufferEncoderInfo",
    {getter<&I::label>("label"), getter<&I::signposts>("debugSignposts"), getter<&I::state>("errorState")});

struct Failure {
  const char* word;
  Integer code;
  const char* text;
};
constexpr Failure kFailures[] = {
    {"timeout", kErrorTimeout, "Caused GPU Timeout Error (00000002:kIOGPUCommandBufferCallbackErrorTimeout)"},
    {"page_fault", kErrorPageFault,
     "Caused GPU Address Fault Error (0000000b:kIOGPUCommandBufferCallbackErrorPageFault)"},
    {"out_of_memory", kErrorOutOfMemory, "Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)"},
    {"removed", kErrorDeviceRemoved, "Device removed (0000000d:kIOGPUCommandBufferCallbackErrorDeviceRemoved)"},
    {"internal", kErrorInternal, "Internal Error (0000000e:Internal Error)"},
};

uint64_t number_of(const char* variable, uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text && *text ? std::strtoull(text, nullptr, 10) : otherwise;
}

std::atomic<uint64_t> dispatches{0}, command_buffers{0};

// Held while a command runs, and from the process's exit on: what the emulator stands on is then taken down.
std::mutex& gpu() {
  static auto* const mutex = [] {
    auto* made = new std::mutex;
    std::atexit([] { gpu().lock(); });
    return made;
  }();
  return *mutex;
}

/// `counted`: the run is the one that the program asked for, not a trial.
bool launch(const Dispatch& dispatch, const std::string& name, bool counted) {
  emu_launch run{};
  for (size_t i = 0; i < dispatch.buffers.size(); ++i) {
    run.buffers[i] = {dispatch.buffers[i].data, dispatch.buffers[i].bytes};
    run.threadgroup_bytes[i] = dispatch.threadgroup_bytes[i];
  }
  const auto copy = [](uint32_t* to, const Size& from) {
    to[0] = static_cast<uint32_t>(from.width);
    to[1] = static_cast<uint32_t>(from.height);
    to[2] = static_cast<uint32_t>(from.depth);
  };
  copy(run.groups, dispatch.groups);
  copy(run.threads, dispatch.threads);
  copy(run.grid, dispatch.grid);
  std::vector<emu_constant_value> constants;
  for (const auto& [index, value] : dispatch.pipeline->function->constants) {
    constants.push_back({nullptr, static_cast<uint32_t>(index), value.bytes.data()});
  }
  run.constants = constants.data();
  run.constant_count = static_cast<uint32_t>(constants.size());
  static const uint64_t seed = number_of("NHWC_EMULATOR_SEED", 0);
  run.seed = seed;
  emu_error error{};
  emu_counters counters{};
  const emu_status status = emu_run(dispatch.pipeline->function->kernel, &run, &counters, &error);
  if (counted) {
    ++dispatches;
    dispatch.pipeline->function->library->learn(dispatch.pipeline->function->kernel, run, counters);
  }
  if (counted && tracing()) trace(dispatch.pipeline->function->kernel->name, run, counters);
  if (status == EMU_OK) return true;
  report(status == EMU_BAD_LAUNCH ? "binding" : "kernel", name + ": " + error.text);
  return false;
}

/// Bytes that an interval may write, without overlaps, and room for their values.
struct Snapshot {
  struct Piece {
    uintptr_t begin, end;
    std::vector<char> bytes;
  };
  std::vector<Piece> pieces;

  explicit Snapshot(const Interval& interval) {
    for (const Command& command : interval.commands) {
      for (const Access& access : command.accesses) {
        if (access.written) pieces.push_back({access.begin, access.end, {}});
      }
    }
    std::sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) { return a.begin < b.begin; });
    std::vector<Piece> joined;
    for (Piece& piece : pieces) {
      if (!joined.empty() && piece.begin <= joined.back().end) {
        joined.back().end = std::max(joined.back().end, piece.end);
      } else {
        joined.push_back(std::move(piece));
      }
    }
    pieces = std::move(joined);
    save();
  }
  void save() {
    for (Piece& p : pieces) {
      p.bytes.assign(reinterpret_cast<const char*>(p.begin), reinterpret_cast<const char*>(p.end));
    }
  }
  void restore() const {
    for (const Piece& p : pieces) std::memcpy(reinterpret_cast<char*>(p.begin), p.bytes.data(), p.bytes.size());
  }
  bool same_as_memory() const {
    return std::all_of(pieces.begin(), pieces.end(), [](const Piece& p) {
      return std::memcmp(reinterpret_cast<const char*>(p.begin), p.bytes.data(), p.bytes.size()) == 0;
    });
  }
};

bool run_command(const Command& command, bool counted) {
  std::lock_guard lock(gpu());
  if (const auto* dispatch = std::get_if<Dispatch>(&command.what)) {
    if (counted) capture_command(command.name);
    return launch(*dispatch, command.name, counted);
  }
  if (const auto* fill = std::get_if<Fill>(&command.what)) {
    std::memset(fill->data, fill->value, fill->bytes);
  } else if (const auto* copy = std::get_if<Copy>(&command.what)) {
    std::memmove(copy->to, copy->from, copy->bytes);
  }
  return true;
}

bool run_in_order(const Interval& interval) {
  for (const Command& command : interval.commands) {
    if (!run_command(command, false)) return false;
  }
  return true;
}

bool run_reversed(const Interval& interval) {
  for (size_t i = interval.commands.size(); i-- > 0;) {
    if (!run_command(interval.commands[i], true)) return false;
  }
  return true;
}

}  // namespace

Integer injected_error() {
  ++command_buffers;
  if (fault_value("removed", nullptr)) return kErrorDeviceRemoved;
  std::string word;
  if (!fault_hits("commit", &word)) return 0;
  for (const Failure& failure : kFailures) {
    if (word != failure.word) continue;
    if (failure.code == kErrorDeviceRemoved) nhwc_standin_fault("removed");
    return failure.code;
  }
  return kErrorInternal;
}

bool run_interval(const Interval& interval) {
  if (interval.suspects.empty()) return run_reversed(interval);
  Snapshot before(interval);
  if (!run_in_order(interval)) return false;
  Snapshot after(interval);
  before.restore();
  if (!run_reversed(interval)) return false;
  if (!after.same_as_memory()) report("hazard", interval.suspects.front());
  return true;
}

bool CommandBuffer::run_items(Integer* code, size_t* faulted) {
  static const uint64_t patience = number_of("NHWC_STANDIN_TIMEOUT", 30);
  size_t passes = 0;
  for (const Item& item : items) {
    if (const auto* signal = std::get_if<Signal>(&item)) {
      signal->event->raise(signal->value);
    } else if (const auto* wait = std::get_if<Wait>(&item)) {
      if (wait->event->wait(wait->value, static_cast<double>(patience))) continue;
      report("event", format("%s waited %lu s for value %lu of an event that nothing signals", describe().c_str(),
                             patience, wait->value));
      *code = kErrorTimeout;
      *faulted = passes;
      return false;
    } else {
      const Pass& pass = *std::get<std::shared_ptr<Pass>>(item);
      sample_time(pass.samples, pass.start_sample);
      for (const Interval& interval : pass.intervals) {
        if (run_interval(interval)) continue;
        *code = kErrorPageFault;
        *faulted = passes;
        return false;
      }
      sample_time(pass.samples, pass.end_sample);
      ++passes;
    }
  }
  return true;
}

Ref<Error> CommandBuffer::make_failure(Integer code, size_t faulted) const {
  const char* text = kFailures[4].text;
  for (const Failure& failure : kFailures) {
    if (failure.code == code) text = failure.text;
  }
  Ref<Error> made = make_error(kDomain, code, text);
  if (!(error_options & kErrorOptionEncoderStatus)) return made;
  auto* infos = create_autoreleased<Array>();
  for (const Item& item : items) {
    const auto* pass = std::get_if<std::shared_ptr<Pass>>(&item);
    if (!pass) continue;
    auto* info = create_autoreleased<EncoderInfo>();
    const size_t place = infos->items.size();
    info->label = string((*pass)->label);
    info->signposts = create_autoreleased<Array>();
    info->state = place < faulted ? kEncoderCompleted : place == faulted ? kEncoderFaulted : kEncoderPending;
    infos->items.push_back(info);
  }
  made->info->items["MTLCommandBufferEncoderInfoErrorKey"] = infos;
  return made;
}

void CommandBuffer::execute() {
  // A GPU that is slow to start shows what a quick one hides: the host's next commit comes before this one has run.
  static const uint64_t lag = number_of("NHWC_STANDIN_LAG", 0);
  if (lag) std::this_thread::sleep_for(std::chrono::milliseconds(lag));
  {
    std::lock_guard lock(lane->mutex);
    status = CommandStatus::scheduled;
    kernel_start = kernel_end = seconds();
    lane->changed.notify_all();
  }
  for (const Handler& handler : scheduled_handlers) handler(this);
  const double start = seconds();
  Integer code = injected;
  size_t faulted = 0;
  const bool ran = code == 0 && run_items(&code, &faulted);
  Ref<Error> failure = ran ? Ref<Error>() : make_failure(code, faulted);
  land();
  {
    std::lock_guard lock(lane->mutex);
    gpu_start = start;
    gpu_end = seconds();
    error = failure;
    status = ran ? CommandStatus::completed : CommandStatus::error;
  }
  if (!completed_handlers.empty()) observe_finished(queue->timeline, mark);
  for (const Handler& handler : completed_handlers) handler(this);
  scheduled_handlers.clear();
  completed_handlers.clear();
  items.clear();
  kept.clear();
}

}  // namespace standin

uint64_t nhwc_standin_dispatches() { return standin::dispatches; }
uint64_t nhwc_standin_command_buffers() { return standin::command_buffers; }
