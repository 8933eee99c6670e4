// tests/apple/programs/correct.cpp -- right programs: what metal-cpp code does with Metal must work, and nothing be
// reported
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "programs/program.h"

using namespace program;

// nothing
CASE(one_kernel) {
  Gpu gpu;
  auto x = gpu.buffer(100, 3), y = gpu.buffer(100, 0);
  auto* commands = gpu.queue->commandBuffer();
  std::atomic<int> scheduled{0}, completed{0};
  double gpu_time = 0;
  commands->addScheduledHandler([&](MTL::CommandBuffer*) { ++scheduled; });
  commands->addCompletedHandler([&](MTL::CommandBuffer* done) {
    EXPECT(done->status() == MTL::CommandBufferStatusCompleted);
    gpu_time = done->GPUEndTime() - done->GPUStartTime();
    ++completed;
  });
  auto* encoder = commands->computeCommandEncoder();
  EXPECT(commands->status() == MTL::CommandBufferStatusNotEnqueued);
  scale(encoder, gpu.pipeline("scale").get(), x.get(), y.get(), 100, 2);
  finish(commands, encoder);
  EXPECT(floats(y)[0] == 6 && floats(y)[99] == 6);
  EXPECT(scheduled == 1 && completed == 1 && gpu_time > 0);
  EXPECT(commands->status() == MTL::CommandBufferStatusCompleted && !commands->error());
}

// nothing
CASE(commit_returns_before_the_gpu_is_done) {
  Gpu gpu;
  auto x = gpu.buffer(32, 3), y = gpu.buffer(32, 0);
  auto event = NS::TransferPtr(gpu.device->newSharedEvent());
  auto* commands = gpu.queue->commandBuffer();
  commands->encodeWait(event.get(), 5);
  auto* encoder = commands->computeCommandEncoder();
  scale(encoder, gpu.pipeline("scale").get(), x.get(), y.get(), 32, 2);
  encoder->endEncoding();
  commands->encodeSignalEvent(event.get(), 6);
  commands->commit();
  EXPECT(commands->status() < MTL::CommandBufferStatusCompleted && floats(y)[0] == 0);
  EXPECT(!event->waitUntilSignaledValue(6, 20));
  event->setSignaledValue(5);
  EXPECT(event->waitUntilSignaledValue(6, 10000) && floats(y)[0] == 6);
  commands->waitUntilCompleted();
}

// nothing
CASE(listeners_are_told) {
  Gpu gpu;
  auto event = NS::TransferPtr(gpu.device->newSharedEvent());
  auto listener = NS::TransferPtr(MTL::SharedEventListener::alloc()->init());
  auto told = NS::TransferPtr(gpu.device->newSharedEvent());
  MTL::SharedEvent* tell = told.get();
  event->notifyListener(listener.get(), 2, ^(MTL::SharedEvent*, uint64_t value) {
    tell->setSignaledValue(value);
  });
  event->setSignaledValue(1);
  EXPECT(told->signaledValue() == 0);
  event->setSignaledValue(2);
  EXPECT(told->waitUntilSignaledValue(2, 10000));
  usleep(50000);  // until the listener's thread has let go of the event
}

// nothing
CASE(function_constants) {
  Gpu gpu;
  NS::Error* error = nullptr;
  for (bool biased : {false, true}) {
    auto values = NS::TransferPtr(MTL::FunctionConstantValues::alloc()->init());
    const float bias = 0.5f;
    values->setConstantValue(&biased, MTL::DataTypeBool, NS::UInteger(0));
    values->setConstantValue(&bias, MTL::DataTypeFloat, text("bias"));
    auto function = NS::TransferPtr(gpu.library->newFunction(text("twice_biased"), values.get(), &error));
    EXPECT(function->functionConstantsDictionary()->count() == 2);
    auto pipeline = NS::TransferPtr(gpu.device->newComputePipelineState(function.get(), &error));
    auto x = gpu.buffer(32, 3);
    auto* commands = gpu.queue->commandBuffer();
    auto* encoder = commands->computeCommandEncoder();
    encoder->setComputePipelineState(pipeline.get());
    encoder->setBuffer(x.get(), 0, 0);
    encoder->dispatchThreads(MTL::Size(20, 1, 1), MTL::Size(32, 1, 1));
    finish(commands, encoder);
    EXPECT(floats(x)[19] == (biased ? 6.5f : 6.0f) && floats(x)[20] == 3);
  }
}

// nothing
CASE(threadgroup_memory) {
  Gpu gpu;
  auto x = gpu.buffer(64, 2), y = gpu.buffer(1, 0);
  auto pipeline = gpu.pipeline("sum");
  EXPECT(pipeline->maxTotalThreadsPerThreadgroup() == 1024 && pipeline->threadExecutionWidth() == 32);
  EXPECT(gpu.pipeline("narrow")->maxTotalThreadsPerThreadgroup() == 64);
  auto* commands = gpu.queue->commandBuffer();
  auto* encoder = commands->computeCommandEncoder();
  encoder->setComputePipelineState(pipeline.get());
  encoder->setBuffer(x.get(), 0, 0);
  encoder->setBuffer(y.get(), 0, 1);
  encoder->setThreadgroupMemoryLength(64 * sizeof(float), 0);
  encoder->dispatchThreadgroups(MTL::Size(1, 1, 1), MTL::Size(64, 1, 1));
  finish(commands, encoder);
  EXPECT(floats(y)[0] == 128);
}

// nothing
CASE(compile_errors) {
  Gpu gpu;
  NS::Error* error = nullptr;
  auto options = NS::TransferPtr(MTL::CompileOptions::alloc()->init());
  options->setLanguageVersion(MTL::LanguageVersion3_1);
  const NS::Object *name = text("FACTOR"), *value = text("2.5f");
  options->setPreprocessorMacros(NS::Dictionary::dictionary(value, name));
  const char* source =
      "#include <metal_stdlib>\nusing namespace metal;\n"
      "[[kernel]] void fill(device float* y [[buffer(0)]], uint i [[thread_position_in_grid]]) { y[i] = FACTOR; }\n";
  auto library = NS::TransferPtr(gpu.device->newLibrary(text(source), options.get(), &error));
  EXPECT(library && library->functionNames()->count() == 1);
  EXPECT(!library->newFunction(text("absent")));
  auto nothing = gpu.device->newLibrary(text(source), static_cast<MTL::CompileOptions*>(nullptr), &error);
  EXPECT(!nothing && error->code() == MTL::LibraryErrorCompileFailure);
  const std::string words = error->localizedDescription()->utf8String();
  EXPECT(words.find("program_source:3") != std::string::npos && words.find("FACTOR") != std::string::npos);
}

// nothing
CASE(heaps) {
  Gpu gpu;
  auto descriptor = NS::TransferPtr(MTL::HeapDescriptor::alloc()->init());
  descriptor->setSize(4096);
  descriptor->setStorageMode(MTL::StorageModeShared);
  auto heap = NS::TransferPtr(gpu.device->newHeap(descriptor.get()));
  EXPECT(heap->size() == 4096 && heap->usedSize() == 0 && heap->maxAvailableSize(256) == 4096);
  const MTL::SizeAndAlign need = gpu.device->heapBufferSizeAndAlign(1000, MTL::ResourceStorageModeShared);
  EXPECT(need.size >= 1000 && need.align >= 256);
  auto a = NS::TransferPtr(heap->newBuffer(1000, MTL::ResourceStorageModeShared));
  auto b = NS::TransferPtr(heap->newBuffer(1000, MTL::ResourceStorageModeShared));
  EXPECT(a->heap() == heap.get() && a->heapOffset() == 0 && b->heapOffset() == 1024 && heap->usedSize() == 2048);
  EXPECT(a->hazardTrackingMode() == MTL::HazardTrackingModeUntracked);
  EXPECT(static_cast<char*>(b->contents()) - static_cast<char*>(a->contents()) == 1024);
  EXPECT(!heap->newBuffer(2049, MTL::ResourceStorageModeShared));
  a.reset();
  EXPECT(heap->maxAvailableSize(256) == 2048 && heap->usedSize() == 1024);
  auto c = NS::TransferPtr(heap->newBuffer(512, MTL::ResourceStorageModeShared));
  EXPECT(c->heapOffset() == 0 && gpu.device->currentAllocatedSize() == 4096);
  EXPECT(NS::TransferPtr(gpu.device->newBuffer(16, MTL::ResourceStorageModePrivate))->contents() == nullptr);
}

// nothing
CASE(memory_of_the_host) {
  Gpu gpu;
  void* pages = nullptr;
  EXPECT(posix_memalign(&pages, 16384, 16384) == 0);
  __block int freed = 0;
  auto x = NS::TransferPtr(gpu.device->newBuffer(pages, 16384, kTracked, ^(void* data, NS::UInteger length) {
    EXPECT(data == pages && length == 16384);
    ++freed;
  }));
  EXPECT(x->contents() == pages && x->length() == 16384);
  x.reset();
  EXPECT(freed == 1);
  std::free(pages);
  const float values[] = {1, 2};
  auto copy = NS::TransferPtr(gpu.device->newBuffer(values, sizeof values, kTracked));
  EXPECT(floats(copy)[1] == 2);
}

// nothing
CASE(blits) {
  Gpu gpu;
  auto x = gpu.buffer(8, 1), y = gpu.buffer(8, 0);
  auto* commands = gpu.queue->commandBuffer();
  auto* encoder = commands->blitCommandEncoder();
  encoder->fillBuffer(x.get(), NS::Range(0, 8), 0);
  encoder->copyFromBuffer(x.get(), 0, y.get(), 16, 16);
  encoder->endEncoding();
  commands->commit();
  commands->waitUntilCompleted();
  EXPECT(floats(x)[1] == 0 && floats(x)[2] == 1 && floats(y)[4] == 0 && floats(y)[6] == 1);
}

// nothing
CASE(archives) {
  Gpu gpu;
  NS::Error* error = nullptr;
  const std::string path = "/tmp/nhwc-archive-" + std::to_string(getpid());
  auto wanted = NS::TransferPtr(MTL::ComputePipelineDescriptor::alloc()->init());
  wanted->setComputeFunction(gpu.function("scale").get());
  wanted->setLabel(text("scaling"));
  auto empty = NS::TransferPtr(MTL::BinaryArchiveDescriptor::alloc()->init());
  auto archive = NS::TransferPtr(gpu.device->newBinaryArchive(empty.get(), &error));
  EXPECT(archive->addComputePipelineFunctions(wanted.get(), &error));
  EXPECT(archive->serializeToURL(NS::URL::fileURLWithPath(text(path.c_str())), &error));

  auto from_file = NS::TransferPtr(MTL::BinaryArchiveDescriptor::alloc()->init());
  from_file->setUrl(NS::URL::fileURLWithPath(text(path.c_str())));
  auto read = NS::TransferPtr(gpu.device->newBinaryArchive(from_file.get(), &error));
  const NS::Object* archives[] = {read.get()};
  wanted->setBinaryArchives(NS::Array::array(archives, 1));
  const auto only_archived = MTL::PipelineOptionFailOnBinaryArchiveMiss;
  auto found = NS::TransferPtr(gpu.device->newComputePipelineState(wanted.get(), only_archived, nullptr, &error));
  EXPECT(found && found->label()->isEqualToString(text("scaling")));
  wanted->setComputeFunction(gpu.function("sum").get());
  EXPECT(!gpu.device->newComputePipelineState(wanted.get(), only_archived, nullptr, &error) && error);

  std::ofstream(path) << "not an archive";
  EXPECT(!gpu.device->newBinaryArchive(from_file.get(), &error));
  EXPECT(error->code() == MTL::BinaryArchiveErrorInvalidFile);
  unlink(path.c_str());
}

// nothing
CASE(times_of_passes) {
  Gpu gpu;
  NS::Error* error = nullptr;
  EXPECT(gpu.device->supportsCounterSampling(MTL::CounterSamplingPointAtStageBoundary));
  auto wanted = NS::TransferPtr(MTL::CounterSampleBufferDescriptor::alloc()->init());
  auto* set = gpu.device->counterSets()->object<MTL::CounterSet>(0);
  EXPECT(set->name()->isEqualToString(MTL::CommonCounterSetTimestamp));
  wanted->setCounterSet(set);
  wanted->setSampleCount(2);
  auto samples = NS::TransferPtr(gpu.device->newCounterSampleBuffer(wanted.get(), &error));
  auto* pass = MTL::ComputePassDescriptor::computePassDescriptor();
  pass->sampleBufferAttachments()->object(0)->setSampleBuffer(samples.get());
  pass->sampleBufferAttachments()->object(0)->setStartOfEncoderSampleIndex(0);
  pass->sampleBufferAttachments()->object(0)->setEndOfEncoderSampleIndex(1);
  auto x = gpu.buffer(32, 1), y = gpu.buffer(32, 0);
  auto* commands = gpu.queue->commandBuffer();
  auto* encoder = commands->computeCommandEncoder(pass);
  scale(encoder, gpu.pipeline("scale").get(), x.get(), y.get(), 32, 2);
  finish(commands, encoder);
  const auto* times = static_cast<uint64_t*>(samples->resolveCounterRange(NS::Range(0, 2))->mutableBytes());
  EXPECT(times[1] > times[0]);
}

// nothing
CASE(trace) {
  Gpu gpu;
  NS::Error* error = nullptr;
  const std::string path = "/tmp/nhwc-trace-" + std::to_string(getpid()) + ".gputrace";
  auto* manager = MTL::CaptureManager::sharedCaptureManager();
  auto wanted = NS::TransferPtr(MTL::CaptureDescriptor::alloc()->init());
  wanted->setCaptureObject(gpu.device.get());
  wanted->setDestination(MTL::CaptureDestinationGPUTraceDocument);
  wanted->setOutputURL(NS::URL::fileURLWithPath(text(path.c_str())));
  EXPECT(!manager->startCapture(wanted.get(), &error));  // MTL_CAPTURE_ENABLED is not set
  setenv("MTL_CAPTURE_ENABLED", "1", 1);
  EXPECT(manager->startCapture(wanted.get(), &error) && manager->isCapturing());
  auto x = gpu.buffer(32, 1), y = gpu.buffer(32, 0);
  auto* commands = gpu.queue->commandBuffer();
  auto* encoder = commands->computeCommandEncoder();
  scale(encoder, gpu.pipeline("scale").get(), x.get(), y.get(), 32, 2);
  finish(commands, encoder);
  manager->stopCapture();
  std::string line;
  EXPECT(std::getline(std::ifstream(path + "/commands"), line) && line == "scale");
  unlink((path + "/commands").c_str());
  rmdir(path.c_str());
}

// nothing
CASE(residency) {
  Gpu gpu;
  NS::Error* error = nullptr;
  auto descriptor = NS::TransferPtr(MTL::ResidencySetDescriptor::alloc()->init());
  auto set = NS::TransferPtr(gpu.device->newResidencySet(descriptor.get(), &error));
  auto x = gpu.buffer(32, 1), y = gpu.buffer(32, 0);
  const MTL::Allocation* both[] = {x.get(), y.get()};
  set->addAllocations(both, 2);
  set->commit();
  EXPECT(set->containsAllocation(x.get()) && set->allocatedSize() == 256);
  gpu.queue->addResidencySet(set.get());
  auto* commands = gpu.queue->commandBuffer();
  auto* encoder = commands->computeCommandEncoder();
  scale(encoder, gpu.pipeline("scale").get(), x.get(), y.get(), 32, 2);
  finish(commands, encoder);
  set->removeAllAllocations();
  set->commit();
}

// nothing
CASE(many_threads_many_queues) {
  Gpu gpu;
  auto pipeline = gpu.pipeline("scale");
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      auto* outer = NS::AutoreleasePool::alloc()->init();
      auto queue = NS::TransferPtr(gpu.device->newCommandQueue(3));
      auto x = gpu.buffer(64, 1), y = gpu.buffer(64, 0);
      for (int i = 0; i < 20; ++i) {
        auto* pool = NS::AutoreleasePool::alloc()->init();
        auto* commands = queue->commandBuffer();
        auto* encoder = commands->computeCommandEncoder();
        scale(encoder, pipeline.get(), x.get(), y.get(), 64, 2);
        scale(encoder, pipeline.get(), y.get(), x.get(), 64, 0.5f);
        encoder->endEncoding();
        commands->commit();
        if (i == 19) commands->waitUntilCompleted();
        pool->release();
      }
      EXPECT(floats(x)[63] == 1 && floats(y)[0] == 2);
      outer->release();
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// nothing
CASE(made_on_another_thread) {
  Gpu gpu;
  auto done = NS::TransferPtr(gpu.device->newSharedEvent());
  MTL::SharedEvent* tell = done.get();
  gpu.device->newComputePipelineState(gpu.function("scale").get(),
                                      ^(MTL::ComputePipelineState* made, NS::Error* error) {
                                        EXPECT(made && !error);
                                        tell->setSignaledValue(1);
                                      });
  EXPECT(done->waitUntilSignaledValue(1, 10000));
  gpu.device->newLibrary(text("nonsense"), nullptr, ^(MTL::Library* made, NS::Error* error) {
    EXPECT(!made && error->code() == MTL::LibraryErrorCompileFailure);
    tell->setSignaledValue(2);
  });
  EXPECT(done->waitUntilSignaledValue(2, 10000));
  usleep(50000);  // until the threads have let go of what they made
}

// nothing
CASE(pools_at_the_end_of_the_process) {
  std::atexit([] {
    auto* pool = NS::AutoreleasePool::alloc()->init();
    EXPECT(text("late")->length() == 4);
    pool->release();
  });
}

// nothing
CASE(ends_while_the_gpu_works) {
  Gpu& gpu = *new Gpu;  // as a runtime that is never taken down
  auto pipeline = gpu.pipeline("scale");
  auto x = gpu.buffer(1 << 14, 1), y = gpu.buffer(1 << 14, 0);
  for (int i = 0; i < 8; ++i) {
    auto* commands = gpu.queue->commandBuffer();
    auto* encoder = commands->computeCommandEncoder();
    scale(encoder, pipeline.get(), x.get(), y.get(), 1 << 14, 2);
    encoder->endEncoding();
    commands->commit();
  }
  std::printf("ended\n");
  std::exit(0);
}

// nothing
CASE(foundation) {
  EXPECT(text("abc")->length() == 3 && std::string(text("abc")->utf8String()) == "abc");
  EXPECT(text("abc")->stringByAppendingString(text("d"))->isEqualToString(text("abcd")));
  EXPECT(NS::Number::number(2.5)->doubleValue() == 2.5 && NS::Number::number(7)->intValue() == 7);
  const NS::Object* items[] = {text("x"), text("y")};
  EXPECT(NS::Array::array(items, 2)->object<NS::String>(1)->isEqualToString(text("y")));
  auto* error =
      NS::Error::error(NS::CocoaErrorDomain, 5, NS::Dictionary::dictionary(text("words"), NS::LocalizedDescriptionKey));
  EXPECT(error->code() == 5 && std::string(error->localizedDescription()->utf8String()) == "words");
  EXPECT(NS::ProcessInfo::processInfo()->operatingSystemVersion().majorVersion == 15);
  EXPECT(NS::ProcessInfo::processInfo()->isOperatingSystemAtLeastVersion({14, 2, 0}));
  auto copied = NS::TransferPtr(text("kept")->copy());
  EXPECT(copied->retainCount() >= 1);
  MTL::Buffer* nothing = nullptr;
  EXPECT(nothing->length() == 0);  // a message to nil
}
