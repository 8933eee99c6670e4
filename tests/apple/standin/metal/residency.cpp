// tests/apple/standin/metal/residency.cpp -- MTLResidencySet: what add and remove ask for holds from commit on
#include "standin/metal/device.h"
#include "standin/metal/memory.h"

namespace standin {
namespace {

using D = ResidencySetDescriptor;
const bool defined_descriptor =
    define_class("MTLResidencySetDescriptor",
                 {getter<&D::label>("label"), setter<&D::label>("setLabel:"), getter<&D::capacity>("initialCapacity"),
                  setter<&D::capacity>("setInitialCapacity:")},
                 {allocates<D>()});

using R = ResidencySet;
const bool defined_set = define_class(
    "MTLResidencySet",
    {getter<&R::device>("device"), getter<&R::label>("label"), method<&R::add>("addAllocation:"),
     method<&R::add_all>("addAllocations:count:"), method<&R::remove>("removeAllocation:"),
     method<&R::remove_all_of>("removeAllocations:count:"), method<&R::remove_all>("removeAllAllocations"),
     method<&R::contains>("containsAllocation:"), method<&R::commit>("commit"), method<&R::request>("requestResidency"),
     method<&R::end>("endResidency"), method<&R::size>("allocationCount"), method<&R::bytes>("allocatedSize"),
     method<&R::all>("allAllocations")});

}  // namespace

void ResidencySet::add_all(Allocation* const* allocations, UInteger count) {
  for (UInteger i = 0; i < count; ++i) {
    if (check_object(allocations[i], Allocation::kClass, "allocation of a residency set")) add(allocations[i]);
  }
}

void ResidencySet::remove_all_of(Allocation* const* allocations, UInteger count) {
  for (UInteger i = 0; i < count; ++i) remove(allocations[i]);
}

void ResidencySet::commit() {
  std::lock_guard lock(mutex);
  resident = pending;
}

UInteger ResidencySet::bytes() {
  UInteger sum = 0;
  for (const auto& [key, allocation] : pending) sum += allocation->bytes;
  return sum;
}

Array* ResidencySet::all() {
  auto* made = create_autoreleased<Array>();
  for (const auto& [key, allocation] : pending) made->items.push_back(allocation.get());
  return made;
}

bool ResidencySet::holds(const Buffer* buffer) const {
  auto* const itself = static_cast<Allocation*>(const_cast<Buffer*>(buffer));
  return resident.count(itself) || (buffer->heap && resident.count(buffer->heap.get()));
}

}  // namespace standin
