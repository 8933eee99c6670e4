// csrc/backend/cpu/update.cpp -- OptimizerUpdate and OptimizerOutput: all parameters of a step in one parallel loop
#include "kernels/update.h"

#include <deque>

#include "backend/cpu/run.h"
#include "backend/cpu/strided.h"
#include "base/interrupt.h"
#include "base/thread_pool.h"
#include "graph/update.h"
#include "nhwc/error.h"

namespace nhwc::cpu {
namespace {

/// Elements that a thread takes at a time: some 200 KB of gradient, parameter and state.
constexpr int64_t kGrain = 16 * 1024;

/// The pointers of a parameter from its element `at` on.
UpdateRun advanced(UpdateRun r, int64_t at) {
  r.gradient += at;
  r.parameter += at;
  r.new_parameter += at;
  for (int s = 0; s < kMaxUpdateStates && r.state[s]; ++s) {
    r.state[s] += at;
    r.new_state[s] += at;
  }
  return r;
}

/// Storage for what replaces `in`: its own, where it dies with this step and nobody else sees it.
UpdateResults::One storage_after(const Node& in, bool may_reuse) {
  if (may_reuse && can_take(in, in, 1)) return {in.buffer, in.offset};
  return {allocate(static_cast<size_t>(size_of(in.shape)) * sizeof(float)), 0};
}

}  // namespace

void run(const OptimizerUpdate& p, Node& n, bool may_reuse) {
  const UpdateCall& call = *p.call;
  UpdateNumbers numbers{};
  for (size_t i = 0; i < call.scalars(); ++i)
    numbers.scalars[i] = *reinterpret_cast<const float*>(n.inputs[i].node()->data());
  std::copy(std::begin(call.constants), std::end(call.constants), numbers.constants);

  auto results = std::make_shared<UpdateResults>();
  results->outputs.reserve(call.count * call.outputs());
  std::deque<RowMajor> copies;  // of inputs that lie otherwise, as transposed gradients
  auto data = [&](size_t i) {
    const Node& in = *n.inputs[i].node();
    if (in.row_major) return reinterpret_cast<const float*>(in.data());
    return reinterpret_cast<const float*>(copies.emplace_back(in).data());
  };
  std::vector<UpdateRun> runs(call.count);
  std::vector<int64_t> ends(call.count);  // of each parameter, as all elements are counted one after the other
  int64_t total = 0;
  for (size_t i = 0; i < call.count; ++i) {
    const size_t first = call.first_input(i);
    UpdateRun& r = runs[i];
    r.gradient = data(first);
    for (size_t k = 0; k < call.outputs(); ++k) {
      const Node& in = *n.inputs[first + 1 + k].node();
      const float* from = data(first + 1 + k);
      const auto& to = results->outputs.emplace_back(storage_after(in, may_reuse));
      float* into = reinterpret_cast<float*>(static_cast<char*>(to.buffer->data) + to.offset);
      (k == 0 ? r.parameter : r.state[k - 1]) = from;
      (k == 0 ? r.new_parameter : r.new_state[k - 1]) = into;
    }
    ends[i] = total += n.inputs[first].size();
  }
  UninterruptedScope to_the_end;  // half of an input overwritten could not be computed again
  parallel_for(total, kGrain, [&](int64_t begin, int64_t end) {
    auto i = static_cast<size_t>(std::upper_bound(ends.begin(), ends.end(), begin) - ends.begin());
    for (int64_t at = begin; at < end; at = std::min(ends[i++], end)) {
      const int64_t start = i ? ends[i - 1] : 0;
      update_run(call.rule, numbers, advanced(runs[i], at - start), std::min(ends[i], end) - at);
    }
  });
  std::get<OptimizerUpdate>(n.prim).results = std::move(results);
  allocate_output(n);  // of no elements
}

void run(const OptimizerOutput& p, Node& n, bool) {
  const auto& results = std::get<OptimizerUpdate>(n.inputs[0].node()->prim).results;
  UpdateResults::One& mine = results->outputs[static_cast<size_t>(p.index)];
  NHWC_CHECK(mine.buffer, "the result of an update, which another node took");
  n.buffer = std::move(mine.buffer);
  n.offset = mine.offset;
  n.strides = contiguous_strides(n.shape);
  n.row_major = true;
}

}  // namespace nhwc::cpu
