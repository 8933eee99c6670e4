// tests/apple/programs/misuse.cpp -- one wrong program per case, each of which the debug layer must name
#include "programs/program.h"

using namespace program;

// The comment before a case is what test_standin.py expects in the report.

// binding: scale: nothing is bound at index 1 (y)
CASE(unbound_buffer) {
  Gpu gpu;
  auto x = gpu.buffer(32, 1);
  auto* commands = gpu.queue->commandBuffer();
  auto* encoder = commands->computeCommandEncoder();
  const ScaleParams params{32, 2};
  encoder->setComputePipelineState(gpu.pipeline("scale").get());
  encoder->setBuffer(x.get(), 0, 0);
  encoder->setBytes(&params, sizeof params, 2);
  encoder->dispatchThreadgroups(MTL::Size(1, 1, 1), MTL::Size(32, 1, 1));
  finish(commands, encoder);
}

// binding: scale: 4 bytes are bound at index 2 (p), which needs 8
CASE(short_params) {
  Gpu gpu;
  auto x = gpu.buffer(32, 1), y = gpu.buffer(32, 1);
  auto* commands = gpu.queue->commandBuffer();
  auto* encoder = commands->computeCommandEncoder();
  const int32_t n = 32;
  encoder->setComputePipelineState(gpu.pipeline("scale").get());
  encoder->setBuffer(x.get(), 0, 0);
  encoder->setBuffer(y.get(), 0, 1);
  encoder->setBytes(&n, sizeof n, 2);
  encoder->dispatchThreadgroups(MTL::Size(1, 1, 1), MTL::Size(32, 1, 1));
  finish(commands, encoder);
}

// binding: setBytes: of 4100 bytes; 1 to 4096 can be
CASE(long_params) {
  Gpu gpu;
  auto* commands = gpu.queue->commandBuffer();
  auto* encoder = commands->computeCommandEncoder();
  encoder->setBytes(std::vector<char>(4100).data(), 4100, 0);
  finish(commands, encoder);
}

// binding: setBuffer: at index 31, over 30
CASE(index_too_high) {
  Gpu gpu;
  auto x = gpu.buffer(32, 1);
  auto* commands = gpu.queue->commandBuffer();
  auto* encoder = commands->computeCommandEncoder();
  encoder->setBuffer(x.get(), 0, 31);
  finish(commands, encoder);
}

// binding: setBuffer: offset 128 is beyond MTLBuffer of 128 bytes
CASE(offset_beyond_end) {
  Gpu gpu;
  auto x = gpu.buffer(32, 1);
  auto* commands = gpu.queue->commandBuffer();
  auto* encoder = commands->computeCommandEncoder();
  encoder->setBuffer(x.get(), 128, 0);
  finish(commands, encoder);
}

// binding: scale: offset 2 at index 1 (y) is not aligned to 4
CASE(offset_not_aligned) {
  Gpu gpu;
  auto x = gpu.buffer(32, 1), y = gpu.buffer(64, 1);
  auto* commands = gpu.queue->commandBuffer();
  auto* encoder = commands->computeCommandEncoder();
  scale(encoder, gpu.pipeline("scale").get(), x.get(), y.get(), 32, 2, 2);
  finish(commands, encoder);
}

// binding: sum: no threadgroup memory is set at index 0 (partial)
CASE(no_threadgroup_memory) {
  Gpu gpu;
  auto x = gpu.buffer(32, 1), y = gpu.buffer(1, 0);
  auto* commands = gpu.queue->commandBuffer();
  auto* encoder = commands->computeCommandEncoder();
  encoder->setComputePipelineState(gpu.pipeline("sum").get());
  encoder->setBuffer(x.get(), 0, 0);
  encoder->setBuffer(y.get(), 0, 1);
  encoder->dispatchThreadgroups(MTL::Size(1, 1, 1), MTL::Size(32, 1, 1));
  finish(commands, encoder);
}

// dispatch: sum: 32784 bytes of threadgroup memory, over 32768
CASE(too_much_threadgroup_memory) {
  Gpu gpu;
  auto x = gpu.buffer(32, 1), y = gpu.buffer(1, 0);
  auto* commands = gpu.queue->commandBuffer();
  auto* encoder = commands->computeCommandEncoder();
  encoder->setComputePipelineState(gpu.pipeline("sum").get());
  encoder->setBuffer(x.get(), 0, 0);
  encoder->setBuffer(y.get(), 0, 1);
  encoder->setThreadgroupMemoryLength(32784, 0);
  encoder->dispatchThreadgroups(MTL::Size(1, 1, 1), MTL::Size(32, 1, 1));
  finish(commands, encoder);
}

static void dispatch_narrow(MTL::Size groups, MTL::Size threads) {
  Gpu gpu;
  auto x = gpu.buffer(256, 1);
  auto* commands = gpu.queue->commandBuffer();
  auto* encoder = commands->computeCommandEncoder();
  encoder->setComputePipelineState(gpu.pipeline("narrow").get());
  encoder->setBuffer(x.get(), 0, 0);
  encoder->dispatchThreadgroups(groups, threads);
  finish(commands, encoder);
}

// dispatch: narrow: 128 threads per threadgroup; the pipeline takes 1 to 64
CASE(too_many_threads) { dispatch_narrow(MTL::Size(1, 1, 1), MTL::Size(128, 1, 1)); }

// dispatch: narrow: a grid of 0x1x1
CASE(empty_grid) { dispatch_narrow(MTL::Size(0, 1, 1), MTL::Size(64, 1, 1)); }

// encoding: a dispatch without setComputePipelineState:
CASE(no_pipeline) {
  Gpu gpu;
  auto* commands = gpu.queue->commandBuffer();
  auto* encoder = commands->computeCommandEncoder();
  encoder->dispatchThreadgroups(MTL::Size(1, 1, 1), MTL::Size(32, 1, 1));
  finish(commands, encoder);
}

// encoding: setBuffer: after endEncoding
CASE(encode_after_end) {
  Gpu gpu;
  auto x = gpu.buffer(32, 1);
  auto* commands = gpu.queue->commandBuffer();
  auto* encoder = commands->computeCommandEncoder();
  encoder->endEncoding();
  encoder->setBuffer(x.get(), 0, 0);
  commands->commit();
  commands->waitUntilCompleted();
}

// encoding: computeCommandEncoder of a command buffer
CASE(encode_after_commit) {
  Gpu gpu;
  auto* commands = gpu.queue->commandBuffer();
  commands->commit();
  commands->computeCommandEncoder();
  commands->waitUntilCompleted();
}

// encoding: commit of a command buffer 'twice' that was committed
CASE(commit_twice) {
  Gpu gpu;
  auto* commands = gpu.queue->commandBuffer();
  commands->setLabel(text("twice"));
  commands->commit();
  commands->commit();
  commands->waitUntilCompleted();
}

// encoding: commit with an encoder that has not ended
CASE(commit_with_open_encoder) {
  Gpu gpu;
  auto* commands = gpu.queue->commandBuffer();
  auto* encoder = commands->computeCommandEncoder();
  commands->commit();
  finish(commands, encoder);
}

// encoding: a second encoder while one of the command buffer is open
CASE(two_encoders) {
  Gpu gpu;
  auto* commands = gpu.queue->commandBuffer();
  auto* encoder = commands->computeCommandEncoder();
  commands->computeCommandEncoder();
  finish(commands, encoder);
}

// encoding: MTLComputeCommandEncoder is released without endEncoding
CASE(encoder_never_ended) {
  Gpu gpu;
  gpu.queue->commandBuffer()->computeCommandEncoder();
}

// encoding: wait for a command buffer
CASE(wait_before_commit) {
  Gpu gpu;
  gpu.queue->commandBuffer()->waitUntilCompleted();
}

// encoding: addCompletedHandler: of a command buffer
CASE(handler_after_commit) {
  Gpu gpu;
  auto* commands = gpu.queue->commandBuffer();
  commands->commit();
  commands->addCompletedHandler([](MTL::CommandBuffer*) {});
  commands->waitUntilCompleted();
}

// encoding: commandBuffer would wait forever: 2 are made and none is committed
CASE(too_many_command_buffers) {
  Gpu gpu;
  auto queue = NS::TransferPtr(gpu.device->newCommandQueue(2));
  for (int i = 0; i < 3; ++i) queue->commandBuffer();
}

// constant: function constant 'has_bias' (0) of twice_biased was given MTLDataType 29, but is of 53
CASE(constant_of_wrong_type) {
  Gpu gpu;
  auto values = NS::TransferPtr(MTL::FunctionConstantValues::alloc()->init());
  const int32_t one = 1;
  values->setConstantValue(&one, MTL::DataTypeInt, NS::UInteger(0));
  NS::Error* error = nullptr;
  NS::TransferPtr(gpu.library->newFunction(text("twice_biased"), values.get(), &error));
}

// binding: twice_biased:
CASE(constant_missing) {
  Gpu gpu;
  auto x = gpu.buffer(32, 1);
  auto* commands = gpu.queue->commandBuffer();
  auto* encoder = commands->computeCommandEncoder();
  encoder->setComputePipelineState(gpu.pipeline("twice_biased").get());
  encoder->setBuffer(x.get(), 0, 0);
  encoder->dispatchThreadgroups(MTL::Size(1, 1, 1), MTL::Size(32, 1, 1));
  finish(commands, encoder);
}

// selector: unrecognized selector -[MTLDevice newDefaultLibrary]
CASE(unknown_selector) {
  Gpu gpu;
  gpu.device->newDefaultLibrary();
}

// type: argument is a MTLBuffer, expected a MTLFunction
CASE(wrong_type) {
  Gpu gpu;
  auto x = gpu.buffer(32, 1);
  NS::Error* error = nullptr;
  gpu.device->newComputePipelineState(reinterpret_cast<MTL::Function*>(x.get()), &error);
}
