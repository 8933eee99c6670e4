// tests/apple/standin/metal/sampling.h -- pass descriptors, and the time stamps that passes leave in counter buffers
#pragma once

#include "standin/metal/queue.h"

namespace standin {

struct CounterSet : Object {
  static constexpr const char* kClass = "MTLCounterSet";
  Ref<String> name;
  Ref<Array> counters;
};

struct CounterSampleDescriptor : Object {
  static constexpr const char* kClass = "MTLCounterSampleBufferDescriptor";
  Ref<CounterSet> set;
  Ref<String> label;
  StorageMode storage = StorageMode::shared;
  UInteger samples = 0;
};

struct CounterSampleBuffer : Object {
  static constexpr const char* kClass = "MTLCounterSampleBuffer";
  Device* device = nullptr;
  Ref<String> label;
  std::vector<uint64_t> samples;

  UInteger size() { return samples.size(); }
  Data* resolve(Range range);
};

struct SampleAttachment : Object {
  static constexpr const char* kClass = "MTLComputePassSampleBufferAttachmentDescriptor";
  Ref<CounterSampleBuffer> buffer;
  UInteger start = 0, end = 0;
};

struct SampleAttachments : Object {
  static constexpr const char* kClass = "MTLComputePassSampleBufferAttachmentDescriptorArray";
  std::array<Ref<SampleAttachment>, 4> items;

  SampleAttachment* at(UInteger index);
  void put(SampleAttachment* attachment, UInteger index);
};

struct ComputePassDescriptor : Object {
  static constexpr const char* kClass = "MTLComputePassDescriptor";
  DispatchType type = DispatchType::serial;
  Ref<SampleAttachments> attachments = take(create<SampleAttachments>());

  /// Tells a pass of `commands` where to leave its times.
  void attach(Pass* pass, CommandBuffer* commands);
};

/// Index that asks for no sample.
constexpr UInteger kNoSample = ~0ul;

/// Writes the time into a sample buffer; `index` may be kNoSample.
void sample_time(CounterSampleBuffer* buffer, UInteger index);

}  // namespace standin
