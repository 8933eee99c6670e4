// csrc/backend/metal/runtime/library.h -- Metal libraries, compiled from the embedded sources or from generated ones
#pragma once

#include <string>
#include <unordered_map>

#include "backend/metal/runtime/device.h"

namespace nhwc::metal {

class Libraries {
 public:
  explicit Libraries(const Device& device) : device_(device.metal) {}

  /// The library of a topic; with `source`, of that text behind the topic's. `key` stands for both. Compiled at the
  /// first call.
  MTL::Library* get(const std::string& key, const char* name, const char* source);

 private:
  NS::SharedPtr<MTL::Library> compile(const char* name, const char* source) const;

  NS::SharedPtr<MTL::Device> device_;
  std::unordered_map<std::string, NS::SharedPtr<MTL::Library>> libraries_;
};

}  // namespace nhwc::metal
