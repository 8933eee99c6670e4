// csrc/backend/metal/runtime/batch.cpp -- ends of command buffers: errors, times, who waits
#include "backend/metal/runtime/batch.h"

#include <algorithm>
#include <chrono>

#include "backend/metal/runtime/failure.h"

namespace nhwc::metal {
namespace {

constexpr size_t kMostNames = 6;  // that an error lists

GpuStatus status_of(NS::Integer code) {
  switch (code) {
    case MTL::CommandBufferErrorTimeout:
      return GpuStatus::timeout;
    case MTL::CommandBufferErrorOutOfMemory:
      return GpuStatus::out_of_memory;
    case MTL::CommandBufferErrorAccessRevoked:
    case MTL::CommandBufferErrorNotPermitted:
    case MTL::CommandBufferErrorDeviceRemoved:
      return GpuStatus::device_lost;
    default:
      return GpuStatus::failed;
  }
}

/// "GPU kernel 'a'", or "one of the GPU kernels 'a', 'b'" where Metal cannot tell which of an encoder's it was.
std::string name_kernels(const KernelNames& kernels) {
  std::vector<std::string> names;
  for (const char* kernel : kernels)
    if (std::find(names.begin(), names.end(), kernel) == names.end()) names.emplace_back(kernel);
  if (names.empty()) return "the GPU";
  std::string text = names.size() == 1 ? "GPU kernel " : "one of the GPU kernels ";
  for (size_t i = 0; i < std::min(names.size(), kMostNames); ++i) text += (i ? ", '" : "'") + names[i] + "'";
  if (names.size() > kMostNames) text += " and " + std::to_string(names.size() - kMostNames) + " more";
  return text;
}

/// The kernels of the encoder that faulted; of all that it pulled along where none is said to have.
KernelNames suspects(const Commands& commands, const NS::Error* error) {
  KernelNames faulted, affected, all;
  NS::Dictionary* details = error ? error->userInfo() : nullptr;
  const auto* infos = details && MTL::CommandBufferEncoderInfoErrorKey
                          ? static_cast<NS::Array*>(details->object(MTL::CommandBufferEncoderInfoErrorKey))
                          : nullptr;
  for (size_t i = 0; i < commands.encoders.size(); ++i) {
    const KernelNames& names = commands.encoders[i];
    const auto state = infos && i < infos->count() ? infos->object<MTL::CommandBufferEncoderInfo>(i)->errorState()
                                                   : MTL::CommandEncoderErrorStateUnknown;
    if (state == MTL::CommandEncoderErrorStateFaulted) faulted.insert(faulted.end(), names.begin(), names.end());
    if (state == MTL::CommandEncoderErrorStateAffected) affected.insert(affected.end(), names.begin(), names.end());
    all.insert(all.end(), names.begin(), names.end());
  }
  if (!faulted.empty()) return faulted;
  return affected.empty() ? all : affected;
}

}  // namespace

void read_outcome(Commands& commands, MTL::CommandBuffer* completed) {
  commands.start = completed->GPUStartTime();
  commands.end = completed->GPUEndTime();
  if (completed->status() != MTL::CommandBufferStatusError) return;
  const NS::Error* error = completed->error();
  commands.status = error ? status_of(error->code()) : GpuStatus::failed;
  commands.text = name_kernels(suspects(commands, error)) + ": " + to_string(error);
}

Commands* InFlight::add(Commands commands) {
  std::lock_guard lock(mutex_);
  return &running_.emplace_back(std::move(commands));
}

void InFlight::finish(Commands* commands, MTL::CommandBuffer* completed) {
  read_outcome(*commands, completed);
  std::lock_guard lock(mutex_);
  commands->done = true;
  while (!running_.empty() && running_.front().done) {
    Commands& first = running_.front();
    if (first.status != GpuStatus::ok) {
      problems_.push_back({first.batch, first.status, std::move(first.text)});
      last_failed_ = first.batch;
    } else if (first.timed) {
      times_.push_back({first.batch, {first.encoders.front().front(), first.start, first.end}});
    }
    if (first.ends_batch) finished_ = first.batch;
    running_.pop_front();
  }
  changed_.notify_all();
}

uint64_t InFlight::finished() const {
  std::lock_guard lock(mutex_);
  return finished_;
}

uint64_t InFlight::last_failed() const {
  std::lock_guard lock(mutex_);
  return last_failed_;
}

GpuStatus InFlight::wait(uint64_t batch, int32_t milliseconds, GpuError* error, std::vector<TimedDispatch>& times) {
  std::unique_lock lock(mutex_);
  const auto there = [&] { return finished_ >= batch; };
  if (milliseconds < 0)
    changed_.wait(lock, there);
  else if (!changed_.wait_for(lock, std::chrono::milliseconds(milliseconds), there))
    return GpuStatus::running;
  const auto ended = [&](const auto& record) { return record.batch <= batch; };
  const auto last_time = std::find_if_not(times_.begin(), times_.end(), ended);
  times.assign(times_.begin(), last_time);
  times_.erase(times_.begin(), last_time);

  GpuStatus status = GpuStatus::ok;
  const auto last_problem = std::find_if_not(problems_.begin(), problems_.end(), ended);
  if (last_problem != problems_.begin()) {
    status = problems_.front().status;
    describe(error, problems_.front().text);
  }
  problems_.erase(problems_.begin(), last_problem);
  return status;
}

}  // namespace nhwc::metal
