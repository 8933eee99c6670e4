// csrc/backend/metal/runtime/pipeline.cpp -- specialises kernels and remembers them
#include "backend/metal/runtime/pipeline.h"

#include <functional>
#include <string_view>

#include "backend/metal/runtime/failure.h"

namespace nhwc::metal {
namespace {

constexpr NS::UInteger kSimdWidth = 32;  // that the kernels count on

void append_bytes(std::string& key, const void* data, size_t bytes) {
  key.append(static_cast<const char*>(data), bytes);
}

/// Generated sources may share a name, so their text counts.
void make_library_key(std::string& key, const GpuLaunch& launch) {
  key = launch.library;
  if (!launch.source) return;
  const size_t hash = std::hash<std::string_view>{}(launch.source);
  key += '\0';
  append_bytes(key, &hash, sizeof hash);
}

void make_key(std::string& key, const std::string& library_key, const GpuLaunch& launch) {
  key = library_key;
  key += '\0';
  key += launch.kernel;
  key += '\0';
  for (int i = 0; i < launch.constant_count; ++i) {
    const GpuConstant& c = launch.constants[i];
    append_bytes(key, &c.index, sizeof c.index);
    key += char(c.type);
    append_bytes(key, &c.u, sizeof c.u);
  }
}

NS::SharedPtr<MTL::FunctionConstantValues> constant_values(const GpuLaunch& launch) {
  auto values = NS::TransferPtr(MTL::FunctionConstantValues::alloc()->init());
  for (int i = 0; i < launch.constant_count; ++i) {
    const GpuConstant& c = launch.constants[i];
    const bool truth = c.i != 0;
    const NS::UInteger index = c.index;
    switch (c.type) {
      case GpuConstant::boolean:
        values->setConstantValue(&truth, MTL::DataTypeBool, index);
        break;
      case GpuConstant::int32:
        values->setConstantValue(&c.i, MTL::DataTypeInt, index);
        break;
      case GpuConstant::uint32:
        values->setConstantValue(&c.u, MTL::DataTypeUInt, index);
        break;
      case GpuConstant::float32:
        values->setConstantValue(&c.f, MTL::DataTypeFloat, index);
        break;
    }
  }
  return values;
}

std::string who(const GpuLaunch& launch) {
  return std::string("GPU kernel '") + launch.kernel + "' of library '" + launch.library + "'";
}

}  // namespace

Pipelines::Pipelines(const Device& device) : device_(device.metal), libraries_(device), archive_(device) {}

const Pipeline& Pipelines::get(const GpuLaunch& launch) {
  make_library_key(library_key_, launch);
  make_key(key_, library_key_, launch);
  const auto it = pipelines_.find(key_);
  if (it != pipelines_.end()) return it->second;
  return pipelines_.emplace(key_, build(launch)).first->second;
}

Pipeline Pipelines::build(const GpuLaunch& launch) {
  MTL::Library* library = libraries_.get(library_key_, launch.library, launch.source);
  NS::Error* error = nullptr;
  auto function =
      NS::TransferPtr(library->newFunction(ns_string(launch.kernel), constant_values(launch).get(), &error));
  if (!function) fail(GpuStatus::no_function, who(launch) + " cannot be had: " + to_string(error));

  auto descriptor = NS::TransferPtr(MTL::ComputePipelineDescriptor::alloc()->init());
  descriptor->setComputeFunction(function.get());
  descriptor->setLabel(ns_string(launch.kernel));
  // Kernels generated from graphs stay out of the archive, which would grow without end.
  auto state = launch.source ? compile_pipeline(device_.get(), descriptor.get(), MTL::PipelineOptionNone, &error)
                             : archive_.pipeline(descriptor.get(), &error);
  if (!state) fail(GpuStatus::no_function, who(launch) + " does not compile: " + to_string(error));
  if (state->threadExecutionWidth() != kSimdWidth)
    fail(GpuStatus::unsupported, who(launch) + " got simdgroups of " + std::to_string(state->threadExecutionWidth()) +
                                     " threads; the kernels need " + std::to_string(kSimdWidth));
  const auto most = uint32_t(state->maxTotalThreadsPerThreadgroup());
  return {std::move(state), launch.kernel, most};
}

void Pipelines::save() { archive_.save(); }

}  // namespace nhwc::metal
