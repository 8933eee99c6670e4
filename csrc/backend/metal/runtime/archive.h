// csrc/backend/metal/runtime/archive.h -- compiled pipelines kept on disk from one process to the next
#pragma once

#include <string>

#include "backend/metal/runtime/device.h"

namespace nhwc::metal {

/// A binary archive in the user's cache folder, one per GPU, macOS and set of sources. Whatever goes wrong with it,
/// pipelines are compiled as if it were not there.
class Archive {
 public:
  explicit Archive(const Device& device);

  /// The pipeline, from the archive, or compiled and added to it. Null with `error` where it does not compile.
  NS::SharedPtr<MTL::ComputePipelineState> pipeline(MTL::ComputePipelineDescriptor* descriptor, NS::Error** error);
  /// Writes what was added. At the process's end.
  void save();

 private:
  NS::SharedPtr<MTL::Device> device_;
  NS::SharedPtr<MTL::BinaryArchive> archive_;
  std::string path_;
  bool changed_ = false;
};

/// That pipeline without an archive.
NS::SharedPtr<MTL::ComputePipelineState> compile_pipeline(MTL::Device* device,
                                                          MTL::ComputePipelineDescriptor* descriptor,
                                                          MTL::PipelineOption options, NS::Error** error);

}  // namespace nhwc::metal
