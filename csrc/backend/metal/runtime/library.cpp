// csrc/backend/metal/runtime/library.cpp -- compiles sources at run time
#include "backend/metal/runtime/library.h"

#include <cstring>

#include "backend/metal/runtime/failure.h"
#include "backend/metal/runtime/sources.h"

namespace nhwc::metal {
namespace {

const char* embedded(const char* topic) {
  for (const EmbeddedSource& source : embedded_sources())
    if (std::strcmp(source.topic, topic) == 0) return source.text;
  fail(GpuStatus::no_function, std::string("there is no library '") + topic + "' among the GPU kernels");
}

/// Infinities, NaN and the order of sums mean what they mean on the CPU.
void forbid_fast_math(MTL::CompileOptions* options) {
  if (responds(options, "setMathMode:")) {  // macOS 15
    options->setMathMode(MTL::MathModeSafe);
    options->setMathFloatingPointFunctions(MTL::MathFloatingPointFunctionsPrecise);
    return;
  }
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wdeprecated-declarations"
  options->setFastMathEnabled(false);
#pragma clang diagnostic pop
}

}  // namespace

NS::SharedPtr<MTL::Library> Libraries::compile(const char* name, const char* source) const {
  auto options = NS::TransferPtr(MTL::CompileOptions::alloc()->init());
  options->setLanguageVersion(MTL::LanguageVersion3_1);
  forbid_fast_math(options.get());
  NS::Error* error = nullptr;
  auto library = NS::TransferPtr(device_->newLibrary(ns_string(source), options.get(), &error));
  if (!library)
    fail(GpuStatus::no_function, std::string("GPU library '") + name + "' does not compile: " + to_string(error));
  library->setLabel(ns_string(name));
  return library;
}

MTL::Library* Libraries::get(const std::string& key, const char* name, const char* source) {
  const auto it = libraries_.find(key);
  if (it != libraries_.end()) return it->second.get();
  const char* const topic = embedded(name);
  auto library = compile(name, source ? (std::string(topic) + source).c_str() : topic);
  return libraries_.emplace(key, std::move(library)).first->second.get();
}

}  // namespace nhwc::metal
