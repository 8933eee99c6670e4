// tests/apple/standin/metal/sampling.cpp -- MTLCounterSampleBuffer for time stamps at the ends of passes, as Apple GPUs
// have it
#include "standin/metal/sampling.h"

#include <cstring>

#include "standin/debug/report.h"

namespace standin {
namespace {

struct Counter : Object {
  static constexpr const char* kClass = "MTLCounter";
  Ref<String> name;
};

const bool defined_counter = define_class("MTLCounter", {getter<&Counter::name>("name")});
const bool defined_set =
    define_class("MTLCounterSet", {getter<&CounterSet::name>("name"), getter<&CounterSet::counters>("counters")});

using D = CounterSampleDescriptor;
const bool defined_descriptor = define_class(
    "MTLCounterSampleBufferDescriptor",
    {getter<&D::set>("counterSet"), setter<&D::set>("setCounterSet:"), getter<&D::label>("label"),
     setter<&D::label>("setLabel:"), getter<&D::storage>("storageMode"), setter<&D::storage>("setStorageMode:"),
     getter<&D::samples>("sampleCount"), setter<&D::samples>("setSampleCount:")},
    {allocates<D>()});

using B = CounterSampleBuffer;
const bool defined_buffer = define_class(
    "MTLCounterSampleBuffer", {getter<&B::device>("device"), getter<&B::label>("label"),
                               method<&B::size>("sampleCount"), method<&B::resolve>("resolveCounterRange:")});

using A = SampleAttachment;
const bool defined_attachment =
    define_class("MTLComputePassSampleBufferAttachmentDescriptor",
                 {getter<&A::buffer>("sampleBuffer"), setter<&A::buffer>("setSampleBuffer:"),
                  getter<&A::start>("startOfEncoderSampleIndex"), setter<&A::start>("setStartOfEncoderSampleIndex:"),
                  getter<&A::end>("endOfEncoderSampleIndex"), setter<&A::end>("setEndOfEncoderSampleIndex:")},
                 {allocates<A>()});
const bool defined_attachments = define_class("MTLComputePassSampleBufferAttachmentDescriptorArray",
                                              {method<&SampleAttachments::at>("objectAtIndexedSubscript:"),
                                               method<&SampleAttachments::put>("setObject:atIndexedSubscript:")});

ComputePassDescriptor* pass_descriptor() { return create_autoreleased<ComputePassDescriptor>(); }

using P = ComputePassDescriptor;
const bool defined_pass = define_class("MTLComputePassDescriptor",
                                       {getter<&P::type>("dispatchType"), setter<&P::type>("setDispatchType:"),
                                        getter<&P::attachments>("sampleBufferAttachments")},
                                       {allocates<P>(), class_method<&pass_descriptor>("computePassDescriptor")});

CounterSampleBuffer* new_sample_buffer(Device* device, Selector, CounterSampleDescriptor* asked, Error** error) {
  check_argument(asked);
  if (!asked->set || asked->samples == 0) {
    set_error(error, "MTLCounterErrorDomain", 1, "a counter sample buffer needs a counter set and a sample count");
    return nullptr;
  }
  auto* made = create<CounterSampleBuffer>();
  made->device = device;
  made->label = asked->label;
  made->samples.assign(asked->samples, ~0ull);  // MTLCounterErrorValue
  return made;
}
const bool defined_device = define_class(
    "MTLDevice", {{"newCounterSampleBufferWithDescriptor:error:", reinterpret_cast<Function>(&new_sample_buffer)}});

}  // namespace

Array* Device::counter_sets() {
  auto* counter = create_autoreleased<Counter>();
  counter->name = string("GPUTimestamp");
  auto* set = create_autoreleased<CounterSet>();
  set->name = string("timestamp");
  set->counters = create_autoreleased<Array>();
  set->counters->items.push_back(counter);
  auto* all = create_autoreleased<Array>();
  all->items.push_back(set);
  return all;
}

Data* CounterSampleBuffer::resolve(Range range) {
  if (range.location + range.length > samples.size()) {
    report("argument", format("resolveCounterRange: %lu samples from %lu on, of %zu", range.length, range.location,
                              samples.size()));
    return nullptr;
  }
  auto* data = create_autoreleased<Data>();
  data->bytes.resize(range.length * sizeof(uint64_t));
  std::memcpy(data->bytes.data(), samples.data() + range.location, data->bytes.size());
  return data;
}

SampleAttachment* SampleAttachments::at(UInteger index) {
  if (index >= items.size()) {
    report("argument", format("sample buffer attachment %lu", index));
    return nullptr;
  }
  if (!items[index]) items[index] = take(create<SampleAttachment>());
  return items[index].get();
}

void SampleAttachments::put(SampleAttachment* attachment, UInteger index) {
  if (index < items.size()) items[index] = attachment;
}

void ComputePassDescriptor::attach(Pass* pass, CommandBuffer* commands) {
  const SampleAttachment* first = attachments->items[0].get();
  if (!first || !first->buffer) return;
  CounterSampleBuffer* samples = first->buffer.get();
  for (UInteger index : {first->start, first->end}) {
    if (index != kNoSample && index >= samples->size()) {
      return report("argument", format("sample %lu of a counter sample buffer of %lu", index, samples->size()));
    }
  }
  commands->kept.push_back(samples);
  pass->samples = samples;
  pass->start_sample = first->start;
  pass->end_sample = first->end;
}

void sample_time(CounterSampleBuffer* buffer, UInteger index) {
  if (buffer && index != kNoSample) buffer->samples[index] = static_cast<uint64_t>(seconds() * 1e9);
}

}  // namespace standin
