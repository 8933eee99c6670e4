// tests/apple/programs/faults.cpp -- failures that a test asks for arrive as Metal would bring them
#include "programs/program.h"

using namespace program;

// nothing
CASE(no_device) {
  nhwc_standin_fault("no_device");
  EXPECT(!MTL::CreateSystemDefaultDevice());
  EXPECT(NS::TransferPtr(MTL::CopyAllDevices())->count() == 0);
}

// nothing
CASE(old_family) {
  nhwc_standin_fault("family=6,macos=13,max_buffer=1024,working_set=2048");
  auto device = NS::TransferPtr(MTL::CreateSystemDefaultDevice());
  EXPECT(device->supportsFamily(MTL::GPUFamilyApple6) && !device->supportsFamily(MTL::GPUFamilyApple7));
  EXPECT(!device->supportsFamily(MTL::GPUFamilyMetal3) && device->supportsFamily(MTL::GPUFamilyCommon3));
  EXPECT(device->maxBufferLength() == 1024 && device->recommendedMaxWorkingSetSize() == 2048);
  EXPECT(NS::ProcessInfo::processInfo()->operatingSystemVersion().majorVersion == 13);
}

// nothing
CASE(no_memory) {
  auto device = NS::TransferPtr(MTL::CreateSystemDefaultDevice());
  nhwc_standin_fault("allocation=2,memory=10000");
  auto first = NS::TransferPtr(device->newBuffer(100, kTracked));
  EXPECT(first);
  EXPECT(!device->newBuffer(100, kTracked));
  EXPECT(!device->newBuffer(9999, kTracked));
  auto third = NS::TransferPtr(device->newBuffer(100, kTracked));
  EXPECT(third);
}

// nothing
CASE(no_pipeline_no_library) {
  Gpu gpu;
  NS::Error* error = nullptr;
  nhwc_standin_fault("pipeline=1,library=1,queue=1");
  EXPECT(!gpu.device->newComputePipelineState(gpu.function("scale").get(), &error) && error);
  EXPECT(!gpu.device->newLibrary(text(""), static_cast<MTL::CompileOptions*>(nullptr), &error));
  EXPECT(!gpu.device->newCommandQueue());
  EXPECT(gpu.pipeline("scale"));
}

/// Commits one command buffer of two encoders, "first" and "second"; its error.
static NS::Error* commit(const Gpu& gpu, MTL::Buffer* x, MTL::Buffer* y) {
  auto descriptor = NS::TransferPtr(MTL::CommandBufferDescriptor::alloc()->init());
  descriptor->setErrorOptions(MTL::CommandBufferErrorOptionEncoderExecutionStatus);
  auto* commands = gpu.queue->commandBuffer(descriptor.get());
  for (const char* label : {"first", "second"}) {
    auto* encoder = commands->computeCommandEncoder();
    encoder->setLabel(text(label));
    scale(encoder, gpu.pipeline("scale").get(), x, y, 32, 2);
    encoder->endEncoding();
  }
  commands->commit();
  commands->waitUntilCompleted();
  EXPECT((commands->status() == MTL::CommandBufferStatusError) == (commands->error() != nullptr));
  return commands->error();
}

// nothing
CASE(failed_command_buffers) {
  Gpu gpu;
  auto x = gpu.buffer(32, 1), y = gpu.buffer(32, 0);
  nhwc_standin_fault("commit=2:timeout");
  EXPECT(!commit(gpu, x.get(), y.get()) && floats(y)[0] == 2);
  NS::Error* error = commit(gpu, y.get(), x.get());
  EXPECT(error && error->code() == MTL::CommandBufferErrorTimeout && floats(x)[0] == 1);
  EXPECT(std::string(error->localizedDescription()->utf8String()).find("Timeout") != std::string::npos);
  auto* infos = static_cast<NS::Array*>(error->userInfo()->object(MTL::CommandBufferEncoderInfoErrorKey));
  EXPECT(infos->count() == 2);
  auto* info = infos->object<MTL::CommandBufferEncoderInfo>(0);
  EXPECT(info->label()->isEqualToString(text("first")));
  EXPECT(info->errorState() == MTL::CommandEncoderErrorStateFaulted);
  EXPECT(!commit(gpu, x.get(), y.get()));
  nhwc_standin_fault("commit=1:page_fault");
  EXPECT(commit(gpu, x.get(), y.get())->code() == MTL::CommandBufferErrorPageFault);
  nhwc_standin_fault("commit=1:out_of_memory");
  EXPECT(commit(gpu, x.get(), y.get())->code() == MTL::CommandBufferErrorOutOfMemory);
  nhwc_standin_fault("commit=1:removed");
  for (int i = 0; i < 3; ++i) {
    EXPECT(commit(gpu, x.get(), y.get())->code() == MTL::CommandBufferErrorDeviceRemoved);
  }
  nhwc_standin_clear_faults();
  EXPECT(!commit(gpu, x.get(), y.get()));
}
