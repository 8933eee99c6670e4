// csrc/eval/scheduler.cpp -- orders the lazy nodes behind some arrays and computes them
#include "eval/scheduler.h"

#include <map>
#include <optional>

#include "backend/cpu/run.h"
#include "backend/metal/run.h"
#include "base/interrupt.h"
#include "eval/dispatch.h"
#include "eval/flight.h"
#include "eval/profile.h"
#include "nhwc/error.h"

namespace nhwc {
namespace {

uint32_t schedule_epoch = 0;  // under the eval lock; a node whose mark equals it is in the order already

/// A node that is being visited, and the next of its inputs to look at.
struct Visit {
  Step step;
  uint32_t next = 0;

  /// The inputs of the step: of the node, or of the whole chain.
  const Array* input(uint32_t i, const ChainPool& chains) const {
    if (step.chain.ops) return i < step.chain.leaves ? chains.leaf(step.chain, i).array : nullptr;
    const ConvChain& c = step.conv;
    if (!c.conv) return i < step.node->inputs.size() ? &step.node->inputs[i] : nullptr;
    if (i < 2) return &c.conv->inputs[i];
    if (i == 2 && c.bias) return c.bias;
    return i == 2 || (i == 3 && c.bias) ? c.residual : nullptr;
  }
};

// The storage fields of a node whose computation failed half-way: lazy again, as if nothing had been tried.
void forget_storage(Node& n) {
  n.buffer = {};
  n.strides.clear();
  n.offset = 0;
}

void compute(const Step& s, const ChainPool& chains) {
  Node& n = *s.node;
  const bool gpu = on_gpu(n);
  if (s.chain.ops) {
    const auto* reduce = std::get_if<Reduce>(&n.prim);
    const Chain chain = chains.at(s.chain);
    if (reduce)
      (gpu ? metal::run_reduced_chain : cpu::run_reduced_chain)(*reduce, chain, n);
    else
      (gpu ? metal::run_chain : cpu::run_chain)(chain, n);
  } else if (s.conv.conv) {
    const ConvChain& c = s.conv;
    (gpu ? metal::run_conv_fused : cpu::run_conv_fused)(std::get<Conv>(c.conv->prim), *c.conv,
                                                        c.bias ? c.bias->node() : nullptr,
                                                        c.residual ? c.residual->node() : nullptr, c.activation, n);
    if (!gpu) n.prim = c.conv->prim;  // what computed it: explain() reads this of evaluated arrays
  } else {
    dispatch(n, !n.tracer());
  }
}

/// Nodes that have their values, but are computed again by chains to come: they keep their inputs as long as this
/// lives.
class Kept {
 public:
  ~Kept() {
    for (const Array& a : nodes_) {
      a.node()->recomputed = false;
      NodeInputs unread = std::move(a.node()->inputs);
      a.node()->inputs.clear();
    }
  }
  void add(Node& n) { nodes_.push_back(array_of(&n)); }

 private:
  std::vector<Array> nodes_;
};

/// Runs the steps of one schedule.
class Runner {
 public:
  explicit Runner(Schedule& s) : schedule_(s) {}

  void run() {
    for (size_t i = 0; i < schedule_.steps.size(); ++i) {
      if (i % 8 == 7) poll_interrupt();
      run_step(schedule_.steps[i]);
    }
    if (flight_) flight_->land();
  }

 private:
  void set_ready(Node& n) {
    n.ready.store(true, std::memory_order_release);
    if (n.recomputed) {
      kept_.add(n);
    } else if (!n.tracer()) {
      NodeInputs unread = std::move(n.inputs);  // let go after the node is consistent: frees what nobody else reads
      n.inputs.clear();
    }
  }

  void run_step(const Step& s) {
    Node& n = *s.node;
    if (n.is_ready()) return;
    const bool gpu = on_gpu(n);
    if (gpu)
      flight().begin(n);
    else if (flight_)
      flight_->land();  // it may read what the GPU makes
    const int64_t begin = profiling() ? profile_clock() : 0;
    try {
      compute(s, schedule_.chains);
    } catch (const MemoryError& e) {
      forget_storage(n);
      raise<MemoryError>("[", name(n.prim), "] for a result of shape ", to_string(n.shape), " and type ", name(n.dtype),
                         ": ", e.what());
    } catch (...) {
      forget_storage(n);
      throw;
    }
    if (begin) profile_step(s, schedule_.chains, begin, profile_clock());
    if (!gpu) return set_ready(n);
    if (s.conv.conv) fused_.emplace(&n, s.conv.conv->prim);
    flight_->add(n);
  }

  void has_landed(Node& n) {
    if (const auto f = fused_.find(&n); f != fused_.end()) {
      n.prim = std::move(f->second);
      fused_.erase(f);
    }
    set_ready(n);
  }

  Flight& flight() {
    if (!flight_) flight_.emplace([this](Node& n) { has_landed(n); }, [](Node& n) { forget_storage(n); });
    return *flight_;
  }

  Schedule& schedule_;
  Kept kept_;
  // Of nodes in flight, what computes them: theirs once they have values, until then they may be lazy again.
  std::map<Node*, Primitive> fused_;
  std::optional<Flight> flight_;  // from the first step for the GPU on; lands before kept_ lets go
};

}  // namespace

Schedule& schedule(std::span<const Array> arrays) {
  struct Memory {
    Schedule schedule;
    std::vector<Visit> stack;
  };
#ifdef __clang__
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wexit-time-destructors"  // at the thread's exit
#endif
  thread_local Memory memory;
#ifdef __clang__
#pragma clang diagnostic pop
#endif
  auto& [s, stack] = memory;
  clear(s.steps);
  clear(stack);
  s.chains.begin(arrays, ++schedule_epoch);
  auto visit = [&](const Array& a) {
    Node* n = a.node();
    if (n->is_ready() || n->mark == schedule_epoch) return;
    n->mark = schedule_epoch;
    Step step{n, find_conv_chain(a), {}};
    if (!step.conv.conv) step.chain = s.chains.find(*n);
    stack.push_back({step, 0});
  };
  for (const Array& a : arrays) {
    visit(a);
    while (!stack.empty()) {
      Visit& top = stack.back();
      if (const Array* in = top.input(top.next, s.chains)) {
        ++top.next;
        visit(*in);  // may move the stack: top is not used after it
      } else {
        s.steps.push_back(top.step);
        stack.pop_back();
      }
    }
  }
  return s;
}

void run(Schedule& s) {
  const size_t steps = s.steps.size();
  const int64_t begin = profiling() ? profile_clock() : 0;
  Runner(s).run();
  if (begin) profile_evaluation(steps, begin);
}

}  // namespace nhwc
