// csrc/base/update_rules.h -- the rules of optimizers that are computed in one pass
#pragma once

#include <cstdint>

namespace nhwc {

// name, arrays of state per parameter, scalars that change from step to step, constants. The formulas, with their
// scalars and constants by name, are those of nhwc.optimizers, operation by operation: the bits are the same.
#define NHWC_UPDATE_RULES(X) \
  X(sgd, 0, 1, 1)            \
  X(momentum, 1, 1, 4)       \
  X(adam, 2, 3, 6)           \
  X(adamax, 2, 1, 4)         \
  X(rmsprop, 1, 1, 3)        \
  X(adagrad, 1, 1, 1)        \
  X(adadelta, 2, 1, 3)       \
  X(lion, 1, 1, 5)

enum class UpdateRule : uint8_t {
#define NHWC_RULE(name, states, scalars, constants) name,
  NHWC_UPDATE_RULES(NHWC_RULE)
#undef NHWC_RULE
};

inline constexpr int kMaxUpdateStates = 2, kMaxUpdateScalars = 3, kMaxUpdateConstants = 6;

struct UpdateRuleFacts {
  const char* name;
  int states, scalars, constants;
};
inline constexpr UpdateRuleFacts kUpdateRules[] = {
#define NHWC_RULE(name, states, scalars, constants) {#name, states, scalars, constants},
    NHWC_UPDATE_RULES(NHWC_RULE)
#undef NHWC_RULE
};
inline constexpr int kUpdateRuleCount = sizeof(kUpdateRules) / sizeof(kUpdateRules[0]);
constexpr const UpdateRuleFacts& facts_of(UpdateRule rule) { return kUpdateRules[static_cast<int>(rule)]; }

}  // namespace nhwc
