// csrc/eval/profile.cpp -- the events between start_profile and stop_profile
#include "eval/profile.h"

#include <atomic>
#include <chrono>
#include <stdexcept>

#include "backend/cpu/run.h"
#include "eval/eval_lock.h"
#include "nhwc/error.h"

namespace nhwc {
namespace {

bool on = false;
std::vector<ProfileEvent>& events() {
  static auto& all = *new std::vector<ProfileEvent>;  // threads may outlive static destructors
  return all;
}

int this_thread() {
  static std::atomic<int> threads{0};
  thread_local const int number = threads++;
  return number;
}

std::string described(const Shape& shape, Dtype dtype) { return message(to_string(shape), " ", name(dtype)); }

std::string operands(std::span<const Array> inputs) {
  std::string s;
  for (const Array& in : inputs) s += (s.empty() ? " of " : ", ") + described(in.shape(), in.dtype());
  return s;
}

}  // namespace

bool profiling() { return on; }

int64_t profile_clock() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

void profile_step(const Step& step, const ChainPool& chains, int64_t begin, int64_t end) {
  const Node& n = *step.node;
  std::string what = name(n.prim), detail = described(n.shape, n.dtype);
  if (step.chain.ops) {
    std::string ops;
    for (const ChainOp& op : chains.at(step.chain).ops) ops += (ops.empty() ? "" : ", ") + name(op.node->prim);
    if (std::holds_alternative<Reduce>(n.prim)) ops += ", " + name(n.prim);
    what = message("chain of ", step.chain.ops);
    detail += ": " + ops;
  } else if (const Node* conv = step.conv.conv) {
    what = name(conv->prim) + " fused";
    detail += operands({conv->inputs.begin(), conv->inputs.end()});
    if (step.conv.bias) detail += ", bias";
    if (step.conv.residual) detail += ", residual " + described(n.shape, n.dtype);
    if (step.conv.activation != Activation::none) detail += ", activation";
  } else {
    detail += operands({n.inputs.begin(), n.inputs.end()});
  }
  if (const auto* conv = std::get_if<Conv>(&n.prim); conv && !on_gpu(n)) detail += "\n" + cpu::explain(*conv, n);
  if (on_gpu(n)) what = "encode " + what;
  events().push_back({std::move(what), std::move(detail), begin, end, this_thread()});
}

void profile_evaluation(size_t steps, int64_t begin) {
  events().push_back(
      {"evaluation", message(steps, steps == 1 ? " step" : " steps"), begin, profile_clock(), this_thread()});
}

void start_profile() {
  EvalLock lock;
  if (on) throw std::runtime_error("[profile] is on already; one profile at a time");
  events().clear();
  on = true;
}

std::vector<ProfileEvent> stop_profile() {
  EvalLock lock;
  on = false;
  return std::exchange(events(), {});
}

}  // namespace nhwc
