// csrc/eval/flight.cpp -- nodes that were given to the GPU and have no values yet
#include "eval/flight.h"

#include "backend/metal/launch.h"
#include "base/gpu_runtime.h"
#include "base/interrupt.h"
#include "nhwc/memory.h"

namespace nhwc {
namespace {

constexpr int32_t kPollMs = 50;  // between looks at the interrupt check

// A batch is large enough to outweigh its submission (some 10 us) and small enough that its memory returns soon.
constexpr size_t kBatchSteps = 32, kBatchBytes = size_t(128) << 20;
// So many entries may wait for the GPU before the oldest are waited for: their memory is not free before.
constexpr size_t kMostEntries = 4 * kBatchSteps;
constexpr size_t kMostScratch = 2;  // in workspace limits

}  // namespace

Flight::~Flight() {
  try {
    land();
  } catch (...) {  // whoever asks for the node computes it again and gets the error there
  }
}

void Flight::begin(const Node& n) {
  if (queue_ != n.stream && queue_ >= 0) {
    commit();
    gpu_runtime()->order(n.stream, queue_);
  }
  metal::StepContext& step = metal::current_step();
  if (queue_ != n.stream || entries_.empty()) step.spare.clear();
  step.queue = queue_ = n.stream;
  step.kept.clear();
  step.scratch.clear();
  step.copied.clear();
  step.checks.clear();
  step.made = 0;
}

void Flight::add(Node& n) {
  metal::StepContext& step = metal::current_step();
  metal::spare_scratch();
  entries_.push_back({array_of(&n), queue_, 0, std::move(step.kept), std::move(step.checks), step.made});
  bytes_ += static_cast<size_t>(size_of(n.shape)) * size_of(n.dtype) + step.made;
  scratch_ += step.made;
  // What steps cannot share is not piled up: half of them are waited for.
  const bool much = scratch_ > kMostScratch * get_workspace_limit();
  if (++uncommitted_ < kBatchSteps && bytes_ < kBatchBytes && !much) return;
  commit();
  if (entries_.size() > kMostEntries || much) finish((entries_.size() + 1) / 2);
}

void Flight::commit() {
  if (uncommitted_ == 0) return;
  const uint64_t batch = gpu_runtime()->commit(queue_);
  for (size_t i = entries_.size() - uncommitted_; i < entries_.size(); ++i) entries_[i].batch = batch;
  uncommitted_ = bytes_ = 0;
}

void Flight::finish(size_t count) {
  size_t ready = 0;
  try {
    for (; ready < count; ++ready) {
      Entry& e = entries_[ready];
      GpuError error{};
      GpuStatus status = GpuStatus::running;
      while ((status = gpu_runtime()->wait(e.queue, e.batch, kPollMs, &error)) == GpuStatus::running) poll_interrupt();
      if (status != GpuStatus::ok) raise_gpu(status, error, name(e.node.node()->prim).c_str());
      for (const auto& check : e.checks) check();
      scratch_ -= e.scratch;
      done_(*e.node.node());
    }
  } catch (...) {
    entries_.erase(entries_.begin(), entries_.begin() + static_cast<ptrdiff_t>(ready));
    lose_all();
    throw;
  }
  entries_.erase(entries_.begin(), entries_.begin() + static_cast<ptrdiff_t>(count));
}

void Flight::lose_all() {
  commit();
  for (const Entry& e : entries_) {
    GpuError ignored{};
    gpu_runtime()->wait(e.queue, e.batch, -1, &ignored);  // nothing is freed that the GPU still uses
    lost_(*e.node.node());
  }
  entries_.clear();
  scratch_ = 0;
}

void Flight::land() {
  commit();
  metal::current_step().spare.clear();
  finish(entries_.size());
}

}  // namespace nhwc
