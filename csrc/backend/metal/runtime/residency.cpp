// csrc/backend/metal/runtime/residency.cpp -- a residency set of all that was allocated
#include "backend/metal/runtime/residency.h"

namespace nhwc::metal {

Residency::Residency(MTL::Device* device, uint64_t limit) : limit_(limit) {
  if (!responds(device, "newResidencySetWithDescriptor:error:")) return;
  auto descriptor = NS::TransferPtr(MTL::ResidencySetDescriptor::alloc()->init());
  descriptor->setLabel(ns_string("nhwc"));
  NS::Error* error = nullptr;  // without a set Metal does as it did before macOS 15
  set_ = NS::TransferPtr(device->newResidencySet(descriptor.get(), &error));
}

void Residency::add(const MTL::Allocation* allocation, uint64_t bytes) {
  if (!set_ || held_ + bytes > limit_) return;
  set_->addAllocation(allocation);
  held_ += bytes;
  changed_ = true;
}

void Residency::remove(const MTL::Allocation* allocation, uint64_t bytes) {
  if (!set_ || !set_->containsAllocation(allocation)) return;
  set_->removeAllocation(allocation);
  held_ -= bytes;
  set_->commit();  // at once: until then the set keeps the memory alive
  changed_ = false;
}

void Residency::flush() {
  if (!changed_) return;
  set_->commit();
  changed_ = false;
}

void Residency::attach(MTL::CommandQueue* queue) {
  if (set_) queue->addResidencySet(set_.get());
}

}  // namespace nhwc::metal
