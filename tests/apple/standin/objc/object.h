// tests/apple/standin/objc/object.h -- objects, classes and methods of the stand-in Objective-C runtime
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <initializer_list>
#include <new>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <utility>

// An object is a C++ object that begins with Object; a message finds its method by the receiver's class. metal-cpp sees
// pointers only. Deallocated objects leave a tombstone for a while, so that a message to one is reported with its
// class.

namespace standin {

using Selector = const char*;  // interned: equal names are equal pointers

struct Class;

struct Object {
  static constexpr const char* kClass = "NSObject";

  Object() = default;
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  virtual ~Object() = default;

  // Written by create(), after the constructor.
  std::atomic<uint64_t> mark{0};
  Class* isa = nullptr;
  std::atomic<long> count{1};
  uint64_t serial = 0;    // order of creation
  bool immortal = false;  // constants and singletons: never released, not counted as live

  virtual std::string describe() const;
};

using Function = void (*)();

struct Class : Object {
  std::string name;
  Class* super = nullptr;
  std::unordered_map<Selector, Function> instance_methods, class_methods;

  Function find(Selector selector, bool of_class) const;
  bool derives_from(const char* ancestor) const;
};

Selector intern(const char* name);
/// The class of that name; an empty one where it was not defined (yet).
Class* class_named(const char* name);

/// Makes `object` (just constructed) an instance of `isa` with one reference.
void adopt(Object* object, Class* isa);
void retain(Object* object);
void release(Object* object);
/// Hands the caller's reference to the thread's innermost pool.
void autorelease(Object* object);

/// Reports where `object` is not alive, or no instance of `expected`; `what` says in which role it came. Null passes.
bool check_object(const Object* object, const char* expected, const char* what);

/// A new object with one reference, which the caller owns.
template <class T, class... Args>
T* create(Args&&... args) {
  static Class* const isa = class_named(T::kClass);
  T* object = new (std::malloc(sizeof(T))) T(std::forward<Args>(args)...);
  adopt(object, isa);
  return object;
}

/// A new object that the innermost pool owns.
template <class T, class... Args>
T* create_autoreleased(Args&&... args) {
  T* object = create<T>(std::forward<Args>(args)...);
  autorelease(object);
  return object;
}

/// An owning pointer.
template <class T>
class Ref {
 public:
  Ref() = default;
  Ref(T* object) : object_(object) {
    if (object_) retain(object_);
  }
  Ref(const Ref& other) : Ref(other.object_) {}
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() {
    if (object_) release(object_);
  }
  T* get() const { return object_; }
  T* operator->() const { return object_; }
  explicit operator bool() const { return object_ != nullptr; }

 private:
  T* object_ = nullptr;
};

/// Takes over the one reference of a new object.
template <class T>
Ref<T> take(T* object) {
  Ref<T> ref(object);
  release(object);
  return ref;
}

struct Method {
  const char* selector;
  Function function;
};

template <class A>
void check_argument(A argument) {
  if constexpr (std::is_pointer_v<A> && std::is_base_of_v<Object, std::remove_pointer_t<A>>) {
    check_object(argument, std::remove_pointer_t<A>::kClass, "argument");
  }
}

template <auto member>
struct Call;
template <class C, class R, class... A, R (C::*member)(A...)>
struct Call<member> {
  static R call(C* self, Selector, A... a) {
    (check_argument(a), ...);
    return (self->*member)(a...);
  }
};

/// The method `selector` of a class, from a member function of its C++ type.
template <auto member>
Method method(const char* selector) {
  return {selector, reinterpret_cast<Function>(&Call<member>::call)};
}

template <auto function>
struct StaticCall;
template <class R, class... A, R (*function)(A...)>
struct StaticCall<function> {
  static R call(Class*, Selector, A... a) {
    (check_argument(a), ...);
    return function(a...);
  }
};

/// A class method, from a free function.
template <auto function>
Method class_method(const char* selector) {
  return {selector, reinterpret_cast<Function>(&StaticCall<function>::call)};
}

template <class T>
Object* allocate() {
  return create<T>();
}

/// Class methods of a class that the host makes with alloc()->init().
template <class T>
Method allocates() {
  return class_method<&allocate<T>>("alloc");
}

template <class T>
struct Unref {
  using type = T;
};
template <class T>
struct Unref<Ref<T>> {
  using type = T*;
};

template <auto member>
struct Property;
template <class C, class V, V C::* member>
struct Property<member> {
  using Value = typename Unref<V>::type;
  static Value get(C* self, Selector) {
    if constexpr (std::is_same_v<Value, V>) {
      return self->*member;
    } else {
      return (self->*member).get();
    }
  }
  static void set(C* self, Selector, Value value) {
    check_argument(value);
    self->*member = V(value);
  }
};

/// Methods that read and write a member; one that is a Ref is retained.
template <auto member>
Method getter(const char* selector) {
  return {selector, reinterpret_cast<Function>(&Property<member>::get)};
}
template <auto member>
Method setter(const char* selector) {
  return {selector, reinterpret_cast<Function>(&Property<member>::set)};
}

/// Fills in the class of that name; called from initialisers of static variables.
bool define_class(const char* name, std::initializer_list<Method> instance_methods,
                  std::initializer_list<Method> class_methods = {}, const char* super = "NSObject");

/// An autorelease pool for a scope, for threads of the stand-in's own.
class PoolScope {
 public:
  PoolScope();
  ~PoolScope();

 private:
  Object* pool_;
};

/// "1 MTLHeap, 2 MTLBuffer" of the objects that are alive and not immortal, and how many they are.
int live_objects(std::string* text);

}  // namespace standin
