// csrc/plan/conv_plan.h -- the planner: ConvProblem + DeviceFacts -> ConvPlan; pure
#pragma once

#include <string>
#include <vector>

#include "base/cpu_features.h"
#include "plan/conv_problem.h"

namespace nhwc {

/// What the planner may know of the machine. Never the thread count: results must not depend on it.
struct DeviceFacts {
  Isa isa = Isa::baseline;
  int vector_bytes = 16;
  size_t l1d = 32 << 10, l2 = 1 << 20, l3 = 16 << 20;
  size_t workspace_limit = size_t(64) << 20;
};
/// The facts of this machine under current_isa() and get_workspace_limit().
DeviceFacts cpu_facts();

enum class ConvAlgorithm : uint8_t { empty, direct, depthwise, grouped, weight_grad, depthwise_weight_grad };

/// Why a candidate was not taken.
struct Rejected {
  ConvAlgorithm algorithm;
  std::string why;
};

/// Plain data: the choice, its tiles, and the reasons.
struct ConvPlan {
  ConvProblem problem;
  ConvAlgorithm algorithm = ConvAlgorithm::direct;
  Isa isa = Isa::baseline;
  int mr = 0, nr = 0;           // register tile: pixels x output channels
  size_t workspace_bytes = 0;   // scratch per thread
  double cost_us = 0;           // the model's estimate on one core
  std::string reason;
  std::vector<Rejected> rejected;
};

ConvPlan plan_conv(const ConvProblem& problem, const DeviceFacts& facts);

/// "direct", "depthwise" ...
const char* name(ConvAlgorithm a);
/// The text behind nhwc.explain: problem, choice, tiles, workspace, estimate, why the others lost.
std::string describe(const ConvPlan& plan);

}  // namespace nhwc
