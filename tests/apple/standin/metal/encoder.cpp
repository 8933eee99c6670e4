// tests/apple/standin/metal/encoder.cpp -- what all encoders do, MTLFence, and MTLBlitCommandEncoder
#include "standin/metal/encoder.h"

#include "standin/debug/report.h"

namespace standin {
namespace {

using E = Encoder;
const bool defined_encoder =
    define_class("MTLCommandEncoder",
                 {method<&E::end>("endEncoding"), getter<&E::label>("label"), method<&E::set_label>("setLabel:"),
                  method<&E::device>("device"), method<&E::wait_fence>("waitForFence:"),
                  method<&E::update_fence>("updateFence:"), method<&E::group>("pushDebugGroup:"),
                  method<&E::group>("insertDebugSignpost:"), method<&E::end_group>("popDebugGroup")});

const bool defined_blit =
    define_class("MTLBlitCommandEncoder",
                 {method<&BlitEncoder::fill>("fillBuffer:range:value:"),
                  method<&BlitEncoder::copy>("copyFromBuffer:sourceOffset:toBuffer:destinationOffset:size:"),
                  method<&BlitEncoder::synchronize>("synchronizeResource:")},
                 {}, "MTLCommandEncoder");

Fence* new_fence(Device* device, Selector) {
  Fence* made = create<Fence>();
  made->owner = device;
  return made;
}
const bool defined_fence = define_class(
    "MTLFence", {getter<&Fence::owner>("device"), getter<&Fence::label>("label"), setter<&Fence::label>("setLabel:")});
const bool defined_device = define_class("MTLDevice", {{"newFence", reinterpret_cast<Function>(&new_fence)}});

}  // namespace

Access access_of(const Buffer* buffer, UInteger offset, UInteger bytes, bool written) {
  const auto begin = reinterpret_cast<uintptr_t>(buffer->data) + offset;
  const bool tracked = const_cast<Buffer*>(buffer)->tracking() == HazardTracking::tracked;
  return {begin, begin + bytes, written, tracked, buffer->describe()};
}

Encoder::~Encoder() {
  if (!ended) report("encoding", format("%s is released without endEncoding", isa->name.c_str()));
}

void Encoder::begin(CommandBuffer* of) {
  commands = of;
  kept = of;
  of->open_encoder = this;
  of->items.push_back(pass);
}

bool Encoder::writable(const char* what) {
  if (!ended) return true;
  report("encoding", format("%s after endEncoding", what));
  return false;
}

void Encoder::end() {
  if (!writable("endEncoding")) return;
  ended = true;
  commands->open_encoder = nullptr;
}

void Encoder::set_label(String* text) {
  label = text;
  pass->label = text_of(text);
}

void Encoder::wait_fence(Fence* fence) {
  if (!writable("waitForFence:")) return;
  commands->use(fence);
  pass->steps.push_back({Step::wait_fence, fence->serial});
}

void Encoder::update_fence(Fence* fence) {
  if (!writable("updateFence:")) return;
  commands->use(fence);
  pass->steps.push_back({Step::update_fence, fence->serial});
}

void Encoder::put(Command command, bool own_interval) {
  if (own_interval || pass->intervals.empty()) pass->intervals.emplace_back();
  Interval& last = pass->intervals.back();
  last.commands.push_back(std::move(command));
  pass->steps.push_back({Step::command, 0, pass->intervals.size() - 1, last.commands.size() - 1});
}

bool BlitEncoder::within(Buffer* buffer, UInteger offset, UInteger bytes, const char* what) {
  if (!writable(what)) return false;
  if (buffer && offset + bytes <= buffer->bytes && bytes > 0) return true;
  report("binding", format("%s of %lu bytes from %lu on: not within %s", what, bytes, offset,
                           buffer ? buffer->describe().c_str() : "nil"));
  return false;
}

void BlitEncoder::fill(Buffer* buffer, Range range, uint8_t value) {
  if (!within(buffer, range.location, range.length, "fillBuffer:")) return;
  commands->use_buffer(buffer);
  put({Fill{buffer->data + range.location, range.length, value},
       {access_of(buffer, range.location, range.length, true)},
       "fillBuffer"},
      true);
}

void BlitEncoder::copy(Buffer* from, UInteger from_offset, Buffer* to, UInteger to_offset, UInteger bytes) {
  if (!within(from, from_offset, bytes, "copyFromBuffer:")) return;
  if (!within(to, to_offset, bytes, "copyFromBuffer:toBuffer:")) return;
  commands->use_buffer(from);
  commands->use_buffer(to);
  put({Copy{from->data + from_offset, to->data + to_offset, bytes},
       {access_of(from, from_offset, bytes, false), access_of(to, to_offset, bytes, true)},
       "copyFromBuffer"},
      true);
}

}  // namespace standin
