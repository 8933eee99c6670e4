// csrc/backend/metal/runtime/archive.cpp -- where the archive lies, when it is read and when it is written
#include "backend/metal/runtime/archive.h"

#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "backend/metal/runtime/sources.h"

namespace nhwc::metal {
namespace {

namespace fs = std::filesystem;

/// Empty where the process has no home.
fs::path cache_folder() {
  const char* chosen = std::getenv("XDG_CACHE_HOME");
  if (chosen && *chosen) return fs::path(chosen) / "nhwc";
  const char* home = std::getenv("HOME");
  if (!home || !*home) return {};
#ifdef __APPLE__
  return fs::path(home) / "Library/Caches/nhwc";
#else
  return fs::path(home) / ".cache/nhwc";
#endif
}

uint64_t fnv1a(uint64_t hash, std::string_view text) {
  for (const unsigned char c : text) hash = (hash ^ c) * 0x100000001b3;
  return hash;
}

/// Names what a compiled pipeline depends on beside its own function.
std::string file_name(const Device& device) {
  uint64_t hash = 0xcbf29ce484222325;
  hash = fnv1a(hash, device.facts.name);
  hash = fnv1a(hash, to_string(NS::ProcessInfo::processInfo()->operatingSystemVersionString()));
  for (const EmbeddedSource& source : embedded_sources()) hash = fnv1a(hash, source.text);
  char name[48];
  std::snprintf(name, sizeof name, "metal-%016llx.binarchive", static_cast<unsigned long long>(hash));
  return name;
}

NS::SharedPtr<MTL::BinaryArchive> open_archive(MTL::Device* device, const std::string& path, bool read) {
  auto descriptor = NS::TransferPtr(MTL::BinaryArchiveDescriptor::alloc()->init());
  if (read) descriptor->setUrl(ns_path(path));
  NS::Error* error = nullptr;  // a file of another system's make, or half a file
  return NS::TransferPtr(device->newBinaryArchive(descriptor.get(), &error));
}

}  // namespace

NS::SharedPtr<MTL::ComputePipelineState> compile_pipeline(MTL::Device* device,
                                                          MTL::ComputePipelineDescriptor* descriptor,
                                                          MTL::PipelineOption options, NS::Error** error) {
  return NS::TransferPtr(device->newComputePipelineState(descriptor, options, nullptr, error));
}

Archive::Archive(const Device& device) : device_(device.metal) {
  const fs::path folder = cache_folder();
  std::error_code ignored;
  if (folder.empty() || (!fs::is_directory(folder, ignored) && !fs::create_directories(folder, ignored))) return;
  path_ = (folder / file_name(device)).string();
  if (fs::exists(path_, ignored)) archive_ = open_archive(device_.get(), path_, true);
  if (!archive_) archive_ = open_archive(device_.get(), path_, false);
}

NS::SharedPtr<MTL::ComputePipelineState> Archive::pipeline(MTL::ComputePipelineDescriptor* descriptor,
                                                           NS::Error** error) {
  if (!archive_) return compile_pipeline(device_.get(), descriptor, MTL::PipelineOptionNone, error);
  const NS::Object* archives[] = {archive_.get()};
  descriptor->setBinaryArchives(NS::Array::array(archives, 1));
  NS::Error* ignored = nullptr;
  auto found = compile_pipeline(device_.get(), descriptor, MTL::PipelineOptionFailOnBinaryArchiveMiss, &ignored);
  if (found) return found;
  // Adding compiles; what follows then finds it there.
  changed_ |= archive_->addComputePipelineFunctions(descriptor, &ignored);
  return compile_pipeline(device_.get(), descriptor, MTL::PipelineOptionNone, error);
}

void Archive::save() {
  if (!changed_) return;
  changed_ = false;
  // Renamed into place: another process may be reading or writing it.
  const std::string unfinished = path_ + "." + std::to_string(getpid());
  NS::Error* ignored_error = nullptr;
  std::error_code ignored;
  if (archive_->serializeToURL(ns_path(unfinished), &ignored_error))
    fs::rename(unfinished, path_, ignored);
  else
    fs::remove(unfinished, ignored);
}

}  // namespace nhwc::metal
