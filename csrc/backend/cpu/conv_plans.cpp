// csrc/backend/cpu/conv_plans.cpp -- the plans of recent convolutions, by problem
#include "backend/cpu/conv_plans.h"

#include "backend/cpu/conv_tune.h"

namespace nhwc::cpu {

PlannedConv::PlannedConv(const ConvProblem& q, const DeviceFacts& facts)
    : plan(make_plan(q, facts)), packed_bytes(packed_weight_bytes(plan)) {
  packed_weight_key(plan, packed_key);
}

const std::shared_ptr<const PlannedConv>& ConvPlans::find(const ConvProblem& q) {
  DeviceFacts facts = cpu_facts();
  facts.packs_weights = packs_weights_;
  const uint64_t tuning = tuning_version();
  Entry& e = entries_[hash_value(q) % entries_.size()];
  if (!e.planned || e.tuning != tuning || e.facts != facts || e.planned->plan.problem != q)
    e = {facts, tuning, std::make_shared<const PlannedConv>(q, facts)};
  return e.planned;
}

}  // namespace nhwc::cpu
