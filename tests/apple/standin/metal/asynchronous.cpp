// tests/apple/standin/metal/asynchronous.cpp -- the methods that hand what they make to a block, on another thread
#include <memory>
#include <thread>

#include "standin/metal/library.h"
#include "standin/objc/block.h"

namespace standin {
namespace {

/// Calls make(&error) on a thread of its own and gives the block what comes of it.
template <class Result, class Make>
void later(void (^block)(Result*, Error*), Make make) {
  using Block = BlockRef<void (^)(Result*, Error*)>;
  auto kept = std::make_shared<Block>(block);
  std::thread([kept, make] {
    PoolScope pool;
    Error* error = nullptr;
    Ref<Result> made;
    if (Result* result = make(&error)) made = take(result);
    (*kept)(made.get(), error);
  }).detach();
}

void library_later(Device* device, Selector, String* source, CompileOptions* options, void (^block)(Library*, Error*)) {
  check_argument(source);
  check_argument(options);
  later<Library>(block, [device, source = Ref<String>(source), options = Ref<CompileOptions>(options)](Error** error) {
    return new_library(device, source.get(), options.get(), error);
  });
}

void pipeline_later(Device* device, Selector, KernelFunction* function, void (^block)(Pipeline*, Error*)) {
  check_argument(function);
  Ref<PipelineDescriptor> asked = take(create<PipelineDescriptor>());
  asked->function = function;
  later<Pipeline>(block, [device, asked](Error** error) { return new_pipeline(device, asked.get(), 0, error); });
}

void function_later(Library* library, Selector, String* name, FunctionConstantValues* values,
                    void (^block)(KernelFunction*, Error*)) {
  check_argument(name);
  check_argument(values);
  later<KernelFunction>(
      block, [library = Ref<Library>(library), name = Ref<String>(name), values = Ref<FunctionConstantValues>(values)](
                 Error** error) { return library->specialised(name.get(), values.get(), error); });
}

template <auto function>
Method plain(const char* selector) {
  return {selector, reinterpret_cast<Function>(function)};
}
const bool defined_device =
    define_class("MTLDevice", {plain<&library_later>("newLibraryWithSource:options:completionHandler:"),
                               plain<&pipeline_later>("newComputePipelineStateWithFunction:completionHandler:")});
const bool defined_library =
    define_class("MTLLibrary", {plain<&function_later>("newFunctionWithName:constantValues:completionHandler:")});

}  // namespace
}  // namespace standin
