// tests/apple/standin/metal/event.h -- MTLEvent and MTLSharedEvent
#pragma once

#include <condition_variable>
#include <mutex>

#include "standin/metal/device.h"
#include "standin/objc/block.h"

namespace standin {

struct SharedListener : Object {
  static constexpr const char* kClass = "MTLSharedEventListener";
  void* queue() { return nullptr; }
};

struct Event : Object {
  static constexpr const char* kClass = "MTLEvent";
  Device* device = nullptr;
  Ref<String> label;
  std::mutex mutex;
  std::condition_variable changed;
  uint64_t value = 0;

  bool reached(uint64_t asked);
  /// From either side. Going back is reported: who waits for a value in between may sleep for ever.
  void raise(uint64_t to);
  /// Whether the value was reached in time.
  bool wait(uint64_t for_value, double most_seconds);
};

struct SharedEvent : Event {
  static constexpr const char* kClass = "MTLSharedEvent";

  uint64_t signaled();
  void signal(uint64_t to) { raise(to); }
  bool wait_ms(uint64_t for_value, uint64_t milliseconds);
  void notify(SharedListener* listener, uint64_t at, void (^block)(SharedEvent*, uint64_t));
};

}  // namespace standin
