// tests/apple/standin/objc/runtime.cpp -- selectors, classes, method look-up, and the life of objects
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <unordered_set>

#include "standin/debug/report.h"
#include "standin/objc/object.h"

namespace standin {
namespace {

constexpr uint64_t kAlive = 0x6e6877632d6f626aull, kDead = 0x6e6877632d646561ull;

// How many deallocated objects keep their tombstone. The sanitizers see the ones before.
constexpr size_t kTombstones = 1 << 14;

/// What is left where an object was, until its memory is given back.
struct Tombstone {
  void* unused;
  uint64_t mark;
  Class* isa;
};
static_assert(sizeof(Tombstone) <= sizeof(Object));

// None of these is ever destroyed, since other static objects and threads outlive any order of destruction.
struct Registry {
  std::mutex mutex;
  std::unordered_set<std::string> selectors;
  std::map<std::string, Class*> classes;
  Class* metaclass = nullptr;

  std::mutex objects_mutex;
  std::map<uint64_t, Object*> live;  // by serial
  uint64_t serial = 0;
  std::deque<void*> tombstones;
};

Registry& registry() {
  static Registry* const all = new Registry;
  return *all;
}

Class* class_locked(Registry& all, const char* name) {
  Class*& found = all.classes[name];
  if (!found) {
    found = new Class;
    found->name = name;
    found->immortal = true;
    found->mark = kAlive;
  }
  return found;
}

uint64_t mark_of(const Object* object) {
  return __atomic_load_n(reinterpret_cast<const uint64_t*>(&object->mark), __ATOMIC_ACQUIRE);
}

bool is_alive(const Object* object) { return mark_of(object) == kAlive; }

void destroy(Object* object) {
  Registry& all = registry();
  Class* const isa = object->isa;
  {
    std::lock_guard lock(all.objects_mutex);
    all.live.erase(object->serial);
  }
  object->~Object();
  auto* tombstone = new (static_cast<void*>(object)) Tombstone{nullptr, kDead, isa};
  void* forgotten = nullptr;
  {
    std::lock_guard lock(all.objects_mutex);
    all.tombstones.push_back(tombstone);
    if (all.tombstones.size() > kTombstones) {
      forgotten = all.tombstones.front();
      all.tombstones.pop_front();
    }
  }
  std::free(forgotten);
}

}  // namespace

Selector intern(const char* name) {
  Registry& all = registry();
  std::lock_guard lock(all.mutex);
  return all.selectors.insert(name).first->c_str();
}

Class* class_named(const char* name) {
  Registry& all = registry();
  std::lock_guard lock(all.mutex);
  if (!all.metaclass) {
    all.metaclass = class_locked(all, "(class)");
    all.metaclass->isa = all.metaclass;
  }
  Class* const found = class_locked(all, name);
  found->isa = all.metaclass;
  return found;
}

bool define_class(const char* name, std::initializer_list<Method> instance_methods,
                  std::initializer_list<Method> class_methods, const char* super) {
  Class* const made = class_named(name);
  if (std::strcmp(name, "NSObject") != 0) made->super = class_named(super);
  for (const Method& m : instance_methods) made->instance_methods[intern(m.selector)] = m.function;
  for (const Method& m : class_methods) made->class_methods[intern(m.selector)] = m.function;
  return true;
}

Function Class::find(Selector selector, bool of_class) const {
  for (const Class* c = this; c; c = c->super) {
    const auto& methods = of_class ? c->class_methods : c->instance_methods;
    if (const auto it = methods.find(selector); it != methods.end()) return it->second;
  }
  return nullptr;
}

bool Class::derives_from(const char* ancestor) const {
  for (const Class* c = this; c; c = c->super) {
    if (c->name == ancestor) return true;
  }
  return false;
}

std::string Object::describe() const { return format("<%s %p>", isa->name.c_str(), static_cast<const void*>(this)); }

void adopt(Object* object, Class* isa) {
  Registry& all = registry();
  object->isa = isa;
  object->mark = kAlive;
  std::lock_guard lock(all.objects_mutex);
  object->serial = ++all.serial;
  all.live.emplace(object->serial, object);
}

bool check_object(const Object* object, const char* expected, const char* what) {
  if (!object) return true;
  const uint64_t mark = mark_of(object);
  if (mark == kDead) {
    const auto* dead = reinterpret_cast<const Tombstone*>(object);
    report("lifetime", format("%s is a deallocated %s", what, dead->isa->name.c_str()));
    return false;
  }
  if (mark != kAlive) {
    report("lifetime", format("%s %p is no object", what, static_cast<const void*>(object)));
    return false;
  }
  if (object->isa && !object->isa->derives_from(expected)) {
    report("type", format("%s is a %s, expected a %s", what, object->isa->name.c_str(), expected));
    return false;
  }
  return true;
}

void retain(Object* object) { object->count.fetch_add(1, std::memory_order_relaxed); }

void release(Object* object) {
  if (!check_object(object, "NSObject", "receiver of release") || object->immortal) return;
  if (object->count.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy(object);
}

int live_objects(std::string* text) {
  Registry& all = registry();
  std::map<std::string, int> counts;
  int total = 0;
  std::lock_guard lock(all.objects_mutex);
  for (const auto& [serial, object] : all.live) {
    if (object->immortal) continue;
    ++counts[object->isa->name];
    ++total;
  }
  for (const auto& [name, count] : counts) {
    *text += (text->empty() ? "" : ", ") + std::to_string(count) + " " + name;
  }
  return total;
}

}  // namespace standin

using standin::Class;
using standin::Function;
using standin::Object;

/// What a message to something that cannot answer does once it was reported (and the process goes on): returns zeros.
static intptr_t answer_nothing() { return 0; }

extern "C" {

void* nhwc_standin_find_method(void* receiver, const char* selector) {
  auto* object = static_cast<Object*>(receiver);
  if (!standin::is_alive(object)) {
    standin::check_object(object, "NSObject", (std::string("receiver of ") + selector).c_str());
    return reinterpret_cast<void*>(&answer_nothing);
  }
  const bool of_class = object->isa == object->isa->isa;
  const Class* const isa = of_class ? static_cast<Class*>(object) : object->isa;
  if (Function found = isa->find(selector, of_class)) return reinterpret_cast<void*>(found);
  standin::report("selector", standin::format("unrecognized selector %c[%s %s]", of_class ? '+' : '-',
                                              isa->name.c_str(), selector));
  return reinterpret_cast<void*>(&answer_nothing);
}

void nhwc_standin_nil_structure(const char* selector) {
  standin::report("lifetime", standin::format("%s returns a structure and was sent to nil", selector));
}

struct objc_selector* sel_registerName(const char* name) {
  return reinterpret_cast<struct objc_selector*>(const_cast<char*>(standin::intern(name)));
}
const char* sel_getName(struct objc_selector* selector) { return reinterpret_cast<const char*>(selector); }
void* objc_lookUpClass(const char* name) { return standin::class_named(name); }
// metal-cpp looks protocols up and never uses them.
void* objc_getProtocol(const char*) { return nullptr; }
}
