// tests/apple/standin/metal/event.cpp -- events between queues, and between GPU and CPU
#include "standin/metal/event.h"

#include <chrono>
#include <memory>
#include <thread>

#include "standin/debug/hazards.h"
#include "standin/debug/report.h"

namespace standin {
namespace {

template <class T>
T* new_event(Device* device, Selector) {
  T* made = create<T>();
  made->device = device;
  return made;
}

SharedListener* shared_listener() { return create_autoreleased<SharedListener>(); }

using E = Event;
const bool defined_event = define_class(
    "MTLEvent", {getter<&E::device>("device"), getter<&E::label>("label"), setter<&E::label>("setLabel:")});
using S = SharedEvent;
const bool defined_shared = define_class(
    "MTLSharedEvent",
    {method<&S::signaled>("signaledValue"), method<&S::signal>("setSignaledValue:"),
     method<&S::wait_ms>("waitUntilSignaledValue:timeoutMS:"), method<&S::notify>("notifyListener:atValue:block:")},
    {}, "MTLEvent");
const bool defined_listener =
    define_class("MTLSharedEventListener", {method<&SharedListener::queue>("dispatchQueue")},
                 {allocates<SharedListener>(), class_method<&shared_listener>("sharedListener")});
const bool defined_device =
    define_class("MTLDevice", {{"newEvent", reinterpret_cast<Function>(&new_event<Event>)},
                               {"newSharedEvent", reinterpret_cast<Function>(&new_event<SharedEvent>)}});

}  // namespace

bool Event::reached(uint64_t asked) {
  std::lock_guard lock(mutex);
  return value >= asked;
}

void Event::raise(uint64_t to) {
  std::unique_lock lock(mutex);
  const uint64_t from = value;
  value = to;
  changed.notify_all();
  lock.unlock();
  if (to < from) report("event", format("an event goes back from %lu to %lu", from, to));
}

bool Event::wait(uint64_t for_value, double most_seconds) {
  std::unique_lock lock(mutex);
  return changed.wait_for(lock, std::chrono::duration<double>(most_seconds), [&] { return value >= for_value; });
}

uint64_t SharedEvent::signaled() {
  std::unique_lock lock(mutex);
  const uint64_t seen = value;
  lock.unlock();
  observe_event(serial, seen);
  return seen;
}

bool SharedEvent::wait_ms(uint64_t for_value, uint64_t milliseconds) {
  const bool reached = wait(for_value, static_cast<double>(milliseconds) * 1e-3);
  if (reached) observe_event(serial, for_value);
  return reached;
}

void SharedEvent::notify(SharedListener*, uint64_t at, void (^block)(SharedEvent*, uint64_t)) {
  // A thread per notification stands for the listener's dispatch queue.
  using Block = BlockRef<void (^)(SharedEvent*, uint64_t)>;
  auto kept = std::make_shared<Block>(block);
  Ref<SharedEvent> self(this);
  std::thread([self, kept, at] {
    PoolScope pool;
    constexpr double kForever = 1e6;
    self->wait(at, kForever);
    observe_event(self->serial, at);
    (*kept)(self.get(), at);
  }).detach();
}

}  // namespace standin
