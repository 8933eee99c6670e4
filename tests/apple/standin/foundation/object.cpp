// tests/apple/standin/foundation/object.cpp -- NSObject: the methods that every object answers
#include "standin/objc/object.h"
#include "standin/foundation/foundation.h"

namespace standin {
namespace {

Object* retain_object(Object* self, Selector) {
  retain(self);
  return self;
}
void release_object(Object* self, Selector) { release(self); }
Object* autorelease_object(Object* self, Selector) {
  autorelease(self);
  return self;
}
UInteger count_of(Object* self, Selector) { return static_cast<UInteger>(self->count.load()); }
Object* itself(Object* self, Selector) { return self; }
UInteger hash_of(Object* self, Selector) { return reinterpret_cast<UInteger>(self); }
bool is_same(Object* self, Selector, const Object* other) { return self == other; }
bool responds(Object* self, Selector, Selector selector) { return self->isa->find(selector, false) != nullptr; }
// metal-cpp asks for one only to learn whether there is a method.
void* no_signature(Object*, Selector, Selector) { return nullptr; }
String* describe_object(Object* self, Selector) { return string(self->describe()); }

template <auto function>
Method plain(const char* selector) {
  return {selector, reinterpret_cast<Function>(function)};
}

const bool defined = define_class(
    "NSObject",
    {plain<&retain_object>("retain"), plain<&release_object>("release"), plain<&autorelease_object>("autorelease"),
     plain<&count_of>("retainCount"), plain<&itself>("init"), plain<&hash_of>("hash"), plain<&is_same>("isEqual:"),
     plain<&responds>("respondsToSelector:"), plain<&no_signature>("methodSignatureForSelector:"),
     plain<&describe_object>("description"), plain<&describe_object>("debugDescription")});

}  // namespace
}  // namespace standin
