// csrc/backend/metal/runtime/hazards.cpp -- overlap of operands
#include "backend/metal/runtime/hazards.h"

#include <algorithm>

namespace nhwc::metal {
namespace {

// Each operand is compared with all since the last barrier; beyond this a barrier costs less than the search.
constexpr size_t kMostRanges = 256;

}  // namespace

Hazards::Range Hazards::range(const GpuOperand& operand) {
  const auto begin = reinterpret_cast<uintptr_t>(operand.data);
  return {begin, begin + operand.bytes};
}

bool Hazards::meets(const std::vector<Range>& ranges, Range r) {
  return std::any_of(ranges.begin(), ranges.end(), [&](Range o) { return r.begin < o.end && o.begin < r.end; });
}

bool Hazards::conflict(const GpuOperand* operands, int count) const {
  if (read_.size() + written_.size() > kMostRanges) return true;
  for (const GpuOperand* o = operands; o != operands + count; ++o) {
    if (!o->data) continue;
    if (meets(written_, range(*o)) || (o->written && meets(read_, range(*o)))) return true;
  }
  return false;
}

void Hazards::add(const GpuOperand* operands, int count) {
  for (const GpuOperand* o = operands; o != operands + count; ++o)
    if (o->data) (o->written ? written_ : read_).push_back(range(*o));
}

void Hazards::clear() {
  read_.clear();
  written_.clear();
}

}  // namespace nhwc::metal
