// tests/apple/standin/foundation/error.cpp -- NSError, NSURL of files, NSProcessInfo, and the constants of both
// frameworks
#include <cstdlib>
#include <ctime>
#include <thread>

#include "standin/debug/faults.h"
#include "standin/debug/report.h"
#include "standin/foundation/foundation.h"
#include "standin/metal/device.h"

namespace standin {
namespace {

constexpr const char* kDescriptionKey = "NSLocalizedDescription";

struct ErrorMethods : Error {
  Error* init_with(String* the_domain, Integer the_code, Dictionary* the_info) {
    domain = the_domain;
    code = the_code;
    info = the_info;
    return this;
  }
  String* text() { return string(describe()); }
  Object* nothing() { return nullptr; }
};

Error* error_with(String* domain, Integer code, Dictionary* info) {
  auto* made = create_autoreleased<Error>();
  return static_cast<ErrorMethods*>(made)->init_with(domain, code, info);
}

using E = ErrorMethods;
const bool defined_error =
    define_class("NSError",
                 {method<&E::init_with>("initWithDomain:code:userInfo:"), getter<&Error::code>("code"),
                  getter<&Error::domain>("domain"), getter<&Error::info>("userInfo"),
                  method<&E::text>("localizedDescription"), method<&E::nothing>("localizedRecoveryOptions"),
                  method<&E::nothing>("localizedRecoverySuggestion"), method<&E::nothing>("localizedFailureReason")},
                 {allocates<Error>(), class_method<&error_with>("errorWithDomain:code:userInfo:")});

struct UrlMethods : Url {
  Url* init_path(const String* of) {
    path = of->text;
    return this;
  }
  Url* init_string(const String* of) {
    if (of->text.rfind("file://", 0) != 0) report("argument", "NSURL: only file:// is known, not " + of->text);
    path = of->text.substr(7);
    return this;
  }
  const char* file() { return path.c_str(); }
  String* path_string() { return string(path); }
  Url* copy() {
    retain(this);
    return this;
  }
};

Url* url_of_path(const String* path) {
  auto* made = create_autoreleased<Url>();
  return static_cast<UrlMethods*>(made)->init_path(path);
}

using U = UrlMethods;
const bool defined_url = define_class(
    "NSURL",
    {method<&U::init_path>("initFileURLWithPath:"), method<&U::init_string>("initWithString:"),
     method<&U::file>("fileSystemRepresentation"), method<&U::path_string>("path"), method<&U::copy>("copy")},
    {allocates<Url>(), class_method<&url_of_path>("fileURLWithPath:")});

struct SystemVersion {
  Integer major, minor, patch;
};

struct ProcessInfo : Object {
  static constexpr const char* kClass = "NSProcessInfo";
  SystemVersion version() {
    SystemVersion v{15, 0, 0};
    uint64_t major;
    if (fault_value("macos", &major)) v.major = static_cast<Integer>(major);
    return v;
  }
  bool at_least(SystemVersion asked) {
    const SystemVersion v = version();
    if (v.major != asked.major) return v.major > asked.major;
    return v.minor != asked.minor ? v.minor > asked.minor : v.patch >= asked.patch;
  }
  String* version_string() {
    const SystemVersion v = version();
    return string(format("Version %ld.%ld (stand-in)", v.major, v.minor));
  }
  String* name() { return string("stand-in"); }
  UInteger processors() { return std::thread::hardware_concurrency(); }
  unsigned long long memory() { return 16ull << 30; }
  double uptime() { return seconds(); }
};

ProcessInfo* process_info() {
  static ProcessInfo* const only = [] {
    auto* made = create<ProcessInfo>();
    made->immortal = true;
    return made;
  }();
  return only;
}

using P = ProcessInfo;
const bool defined_process = define_class(
    "NSProcessInfo",
    {method<&P::version>("operatingSystemVersion"), method<&P::at_least>("isOperatingSystemAtLeastVersion:"),
     method<&P::version_string>("operatingSystemVersionString"), method<&P::name>("processName"),
     method<&P::processors>("processorCount"), method<&P::processors>("activeProcessorCount"),
     method<&P::memory>("physicalMemory"), method<&P::uptime>("systemUptime")},
    {class_method<&process_info>("processInfo")});

}  // namespace

Error* make_error(const char* domain, Integer code, const std::string& text) {
  auto* made = create_autoreleased<Error>();
  made->domain = string(domain);
  made->code = code;
  made->info = create_autoreleased<Dictionary>();
  made->info->items[kDescriptionKey] = string(text);
  return made;
}

void set_error(Error** out, const char* domain, Integer code, const std::string& text) {
  if (out) *out = make_error(domain, code, text);
}

std::string Error::describe() const {
  if (info) {
    const auto it = info->items.find(kDescriptionKey);
    if (it != info->items.end()) return it->second->describe();
  }
  return format("The operation couldn't be completed. (%s error %ld.)", text_of(domain.get()).c_str(), code);
}

}  // namespace standin

// String constants of the frameworks: (symbol, text).
#define STRING_CONSTANTS(_)                                                     \
  _(NSCocoaErrorDomain, "NSCocoaErrorDomain")                                   \
  _(NSPOSIXErrorDomain, "NSPOSIXErrorDomain")                                   \
  _(NSOSStatusErrorDomain, "NSOSStatusErrorDomain")                             \
  _(NSMachErrorDomain, "NSMachErrorDomain")                                     \
  _(NSLocalizedDescriptionKey, "NSLocalizedDescription")                        \
  _(NSUnderlyingErrorKey, "NSUnderlyingError")                                  \
  _(MTLCommandBufferEncoderInfoErrorKey, "MTLCommandBufferEncoderInfoErrorKey") \
  _(MTLBinaryArchiveDomain, "MTLBinaryArchiveDomain")                           \
  _(MTLCommonCounterTimestamp, "GPUTimestamp")                                  \
  _(MTLCommonCounterSetTimestamp, "timestamp")                                  \
  _(MTLCounterErrorDomain, "MTLCounterErrorDomain")

#define DEFINE(name, text)          \
  extern "C" standin::String* name; \
  standin::String* name = nullptr;
STRING_CONSTANTS(DEFINE)

// metal-cpp copies them when its own static objects are made, which is after constructors of this priority.
__attribute__((constructor(101))) static void make_constants() {
#define MAKE(name, text) name = standin::constant_string(text);
  STRING_CONSTANTS(MAKE)
}
