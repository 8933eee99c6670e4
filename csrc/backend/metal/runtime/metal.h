// csrc/backend/metal/runtime/metal.h -- metal-cpp, and the few words that every file of the runtime says with it
#pragma once

#include <objc/runtime.h>

#include <Foundation/Foundation.hpp>
#include <Metal/Metal.hpp>
#include <string>

// Built by clang with blocks, on a Mac against Metal, in tests against a stand-in. Of the library only
// base/gpu_runtime.h is included, so that both can build it alone. Ownership is NS::SharedPtr: TransferPtr for what
// new, alloc and copy return, RetainPtr for what is kept of the rest; an autorelease pool stands in every entry.

namespace nhwc::metal {

/// Takes what the calls of a scope autorelease.
class Pool {
 public:
  Pool() : pool_(NS::AutoreleasePool::alloc()->init()) {}
  ~Pool() { pool_->release(); }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

 private:
  NS::AutoreleasePool* pool_;
};

/// Autoreleased.
inline NS::String* ns_string(const std::string& text) {
  return NS::String::string(text.c_str(), NS::UTF8StringEncoding);
}
inline NS::URL* ns_path(const std::string& path) { return NS::URL::fileURLWithPath(ns_string(path)); }

inline std::string to_string(const NS::String* text) {
  const char* bytes = text ? text->utf8String() : nullptr;
  return bytes ? bytes : "";
}
/// What went wrong, in Metal's words.
inline std::string to_string(const NS::Error* error) {
  return error ? to_string(error->localizedDescription()) : "Metal gave no reason";
}

/// Whether the system knows a method that is newer than the oldest macOS the library runs on.
inline bool responds(const void* object, const char* selector) {
  struct Object : NS::Object {
    using NS::Object::respondsToSelector;
  };
  return Object::respondsToSelector(object, sel_registerName(selector));
}

}  // namespace nhwc::metal
