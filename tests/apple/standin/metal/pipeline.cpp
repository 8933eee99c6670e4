// tests/apple/standin/metal/pipeline.cpp -- MTLComputePipelineState, its descriptor, and MTLBinaryArchive as a list of
// names
#include <fstream>

#include "standin/debug/faults.h"
#include "standin/debug/report.h"
#include "standin/metal/library.h"

namespace standin {
namespace {

constexpr const char* kPipelineDomain = "AGXMetalG14X";
constexpr const char* kArchiveDomain = "MTLBinaryArchiveDomain";
constexpr const char* kArchiveHeading = "nhwc stand-in binary archive 1";

using D = PipelineDescriptor;
const bool defined_descriptor = define_class(
    "MTLComputePipelineDescriptor",
    {getter<&D::label>("label"), setter<&D::label>("setLabel:"), getter<&D::function>("computeFunction"),
     setter<&D::function>("setComputeFunction:"), getter<&D::archives>("binaryArchives"),
     setter<&D::archives>("setBinaryArchives:"),
     getter<&D::multiple_of_simd>("threadGroupSizeIsMultipleOfThreadExecutionWidth"),
     setter<&D::multiple_of_simd>("setThreadGroupSizeIsMultipleOfThreadExecutionWidth:"),
     getter<&D::indirect>("supportIndirectCommandBuffers"), setter<&D::indirect>("setSupportIndirectCommandBuffers:"),
     getter<&D::max_threads>("maxTotalThreadsPerThreadgroup"),
     setter<&D::max_threads>("setMaxTotalThreadsPerThreadgroup:"), method<&D::reset>("reset")},
    {allocates<D>()});

using P = Pipeline;
const bool defined_pipeline =
    define_class("MTLComputePipelineState", {getter<&P::device>("device"), getter<&P::label>("label"),
                                             method<&P::simd_width>("threadExecutionWidth"),
                                             getter<&P::max_threads>("maxTotalThreadsPerThreadgroup"),
                                             method<&P::static_memory>("staticThreadgroupMemoryLength"),
                                             getter<&P::indirect>("supportIndirectCommandBuffers")});

using A = Archive;
const bool defined_archive = define_class(
    "MTLBinaryArchive", {getter<&A::device>("device"), getter<&A::label>("label"), setter<&A::label>("setLabel:"),
                         method<&A::add>("addComputePipelineFunctionsWithDescriptor:error:"),
                         method<&A::serialize>("serializeToURL:error:")});
const bool defined_archive_descriptor = define_class(
    "MTLBinaryArchiveDescriptor", {getter<&ArchiveDescriptor::url>("url"), setter<&ArchiveDescriptor::url>("setUrl:")},
    {allocates<ArchiveDescriptor>()});

bool in_archives(const PipelineDescriptor* asked) {
  if (!asked->archives) return false;
  const std::string identity = asked->function->identity();
  for (const auto& item : asked->archives->items) {
    if (!check_object(item.get(), Archive::kClass, "binary archive")) continue;
    if (static_cast<Archive*>(item.get())->known.count(identity)) return true;
  }
  return false;
}

/// What the emulated compiler would refuse.
bool refused(const PipelineDescriptor* asked, Error** error) {
  const UInteger declared = asked->function->kernel->max_threads;
  if (declared && asked->max_threads > declared) {
    set_error(error, kPipelineDomain, 3,
              format("maxTotalThreadsPerThreadgroup of %lu, but the kernel says %lu", asked->max_threads, declared));
    return true;
  }
  if (asked->max_threads > kMaxThreads) {
    set_error(error, kPipelineDomain, 3, format("maxTotalThreadsPerThreadgroup of %lu", asked->max_threads));
    return true;
  }
  return false;
}

Archive* new_archive(Device* device, Selector, ArchiveDescriptor* asked, Error** error) {
  check_argument(asked);
  Ref<Archive> made = take(create<Archive>());
  made->device = device;
  if (asked->url) {
    std::ifstream file(asked->url->path);
    std::string line;
    if (!std::getline(file, line) || line != kArchiveHeading) {
      set_error(error, kArchiveDomain, kArchiveInvalidFile, "no binary archive: " + asked->url->path);
      return nullptr;
    }
    while (std::getline(file, line)) made->known.insert(line);
  }
  retain(made.get());
  return made.get();
}

Pipeline* pipeline_of_descriptor(Device* device, Selector, PipelineDescriptor* asked, UInteger options,
                                 void** reflection, Error** error) {
  check_argument(asked);
  if (reflection) report("selector", "the stand-in has no pipeline reflection");
  return new_pipeline(device, asked, options, error);
}

Pipeline* pipeline_of_function(Device* device, Selector, KernelFunction* function, Error** error) {
  if (!function) report("argument", "newComputePipelineStateWithFunction: of nil");
  check_argument(function);
  Ref<PipelineDescriptor> asked = take(create<PipelineDescriptor>());
  asked->function = function;
  return new_pipeline(device, asked.get(), 0, error);
}

template <auto function>
Method plain(const char* selector) {
  return {selector, reinterpret_cast<Function>(function)};
}
const bool defined_device = define_class(
    "MTLDevice", {plain<&new_archive>("newBinaryArchiveWithDescriptor:error:"),
                  plain<&pipeline_of_descriptor>("newComputePipelineStateWithDescriptor:options:reflection:error:"),
                  plain<&pipeline_of_function>("newComputePipelineStateWithFunction:error:")});

}  // namespace

void PipelineDescriptor::reset() {
  label = nullptr;
  function = nullptr;
  archives = nullptr;
  multiple_of_simd = indirect = false;
  max_threads = 0;
}

Pipeline* new_pipeline(Device* device, PipelineDescriptor* asked, UInteger options, Error** error) {
  if (!asked->function) {
    report("argument", "a compute pipeline without computeFunction");
    return nullptr;
  }
  const bool archived = in_archives(asked);
  if (!archived && options & kPipelineFailOnArchiveMiss) {
    set_error(error, kArchiveDomain, kArchiveInternal, "the pipeline is in none of the binary archives");
    return nullptr;
  }
  if (fault_hits("pipeline")) {
    set_error(error, kPipelineDomain, 3, "injected: XPC_ERROR_CONNECTION_INTERRUPTED");
    return nullptr;
  }
  if (refused(asked, error)) return nullptr;
  Pipeline* const made = create<Pipeline>();
  made->device = device;
  made->label = asked->label;
  made->function = asked->function;
  made->multiple_of_simd = asked->multiple_of_simd;
  made->indirect = asked->indirect;
  const UInteger declared = asked->function->kernel->max_threads;
  if (asked->max_threads) {
    made->max_threads = asked->max_threads;
  } else if (declared) {
    made->max_threads = declared;
  }
  return made;
}

UInteger Pipeline::static_memory() { return function->library->static_memory(function->kernel); }

std::string Pipeline::describe() const { return "pipeline of " + kernel_name(); }

bool Archive::add(PipelineDescriptor* of, Error** error) {
  if (!of->function || fault_hits("archive")) {
    set_error(error, kArchiveDomain, kArchiveUnexpectedElement, "nothing to add to the archive");
    return false;
  }
  known.insert(of->function->identity());
  return true;
}

bool Archive::serialize(const Url* url, Error** error) {
  std::ofstream file(url->path, std::ios::trunc);
  file << kArchiveHeading << '\n';
  for (const std::string& line : known) file << line << '\n';
  file.close();
  if (file) return true;
  set_error(error, kArchiveDomain, kArchiveInternal, "cannot write " + url->path);
  return false;
}

}  // namespace standin
