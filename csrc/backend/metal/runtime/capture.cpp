// csrc/backend/metal/runtime/capture.cpp -- Metal's capture manager
#include "backend/metal/runtime/capture.h"

#include "backend/metal/runtime/failure.h"

namespace nhwc::metal {

void begin_capture(const Device& device, const char* path) {
  MTL::CaptureManager* manager = MTL::CaptureManager::sharedCaptureManager();
  if (manager->isCapturing()) fail(GpuStatus::failed, "a GPU trace is being captured already");
  if (!manager->supportsDestination(MTL::CaptureDestinationGPUTraceDocument))
    fail(GpuStatus::unsupported, "GPU traces are off: start the process with MTL_CAPTURE_ENABLED=1");
  auto descriptor = NS::TransferPtr(MTL::CaptureDescriptor::alloc()->init());
  descriptor->setCaptureObject(device.metal.get());
  descriptor->setDestination(MTL::CaptureDestinationGPUTraceDocument);
  descriptor->setOutputURL(ns_path(path));
  NS::Error* error = nullptr;
  if (!manager->startCapture(descriptor.get(), &error))
    fail(GpuStatus::failed, std::string("no GPU trace can be written to '") + path + "': " + to_string(error));
}

void end_capture() {
  MTL::CaptureManager* manager = MTL::CaptureManager::sharedCaptureManager();
  if (manager->isCapturing()) manager->stopCapture();
}

}  // namespace nhwc::metal
