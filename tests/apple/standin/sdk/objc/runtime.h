// tests/apple/standin/sdk/objc/runtime.h -- the part of the Objective-C runtime's interface that metal-cpp reads
#pragma once

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct objc_class* Class;
// Complete, since NS::Object derives from it; the stand-in's objects are laid out otherwise and are never read through
// it.
struct objc_object {
  Class isa;
};
typedef struct objc_object* id;
typedef struct objc_selector* SEL;
typedef struct objc_protocol Protocol;

SEL sel_registerName(const char* name);
const char* sel_getName(SEL selector);
void* objc_lookUpClass(const char* name);
void* objc_getProtocol(const char* name);

#ifdef __cplusplus
}
#endif
