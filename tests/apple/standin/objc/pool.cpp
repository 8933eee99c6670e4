// tests/apple/standin/objc/pool.cpp -- autorelease pools, a stack of them per thread
#include <algorithm>
#include <vector>

#include "standin/debug/report.h"
#include "standin/objc/object.h"

namespace standin {
namespace {

struct Pool : Object {
  static constexpr const char* kClass = "NSAutoreleasePool";
  std::vector<Object*> objects;

  Pool* init();
  void drain();
};

// Made with the first pool and freed with the last: handlers of the process's exit still use pools, after objects of
// the thread are destroyed.
thread_local std::vector<Pool*>* pools = nullptr;

Pool* Pool::init() {
  if (!pools) pools = new std::vector<Pool*>;
  pools->push_back(this);
  return this;
}

void Pool::drain() {
  if (!pools || std::find(pools->begin(), pools->end(), this) == pools->end()) {
    report("lifetime", "an autorelease pool is drained on a thread that it was not made on");
    return;
  }
  if (pools->back() != this) report("lifetime", "autorelease pools are drained out of order");
  while (pools->back() != this) pools->back()->drain();
  // What the objects' destructors put in comes after, and goes as well.
  for (size_t i = 0; i < objects.size(); ++i) standin::release(objects[i]);
  pools->pop_back();
  if (pools->empty()) {
    delete pools;
    pools = nullptr;
  }
  standin::release(this);
}

void add_object(Object* object) { autorelease(object); }

const bool defined = define_class(
    "NSAutoreleasePool", {method<&Pool::init>("init"), method<&Pool::drain>("drain"), method<&Pool::drain>("release")},
    {allocates<Pool>(), class_method<&add_object>("addObject:")});

}  // namespace

PoolScope::PoolScope() : pool_(create<Pool>()->init()) {}
PoolScope::~PoolScope() { static_cast<Pool*>(pool_)->drain(); }

void autorelease(Object* object) {
  if (object->immortal) return;
  if (!pools) {
    report("lifetime", format("a %s is autoreleased with no pool in place, so it leaks", object->isa->name.c_str()));
    return;
  }
  pools->back()->objects.push_back(object);
}

}  // namespace standin
