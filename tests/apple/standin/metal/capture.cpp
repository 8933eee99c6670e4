// tests/apple/standin/metal/capture.cpp -- MTLCaptureManager
#include "standin/metal/capture.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>

#include "standin/debug/report.h"
#include "standin/metal/device.h"

namespace standin {
namespace {

constexpr const char* kDomain = "MTLCaptureErrorDomain";
constexpr Integer kNotSupported = 1, kAlreadyCapturing = 2, kInvalidDescriptor = 3;
constexpr Integer kToTools = 1, kToDocument = 2;

struct CaptureDescriptor : Object {
  static constexpr const char* kClass = "MTLCaptureDescriptor";
  Ref<Object> object;
  Integer destination = kToTools;
  Ref<Url> url;
};

struct CaptureManager : Object {
  static constexpr const char* kClass = "MTLCaptureManager";
  std::mutex mutex;
  bool capturing = false;
  std::filesystem::path folder;
  std::ofstream commands;

  bool supports(Integer destination) {
    const char* on = std::getenv("MTL_CAPTURE_ENABLED");
    return destination == kToDocument && on && *on == '1';
  }
  bool is_capturing() {
    std::lock_guard lock(mutex);
    return capturing;
  }
  bool start(CaptureDescriptor* asked, Error** error);
  void stop();
};

bool CaptureManager::start(CaptureDescriptor* asked, Error** error) {
  const auto refuse = [error](Integer code, const std::string& text) {
    set_error(error, kDomain, code, text);
    return false;
  };
  std::lock_guard lock(mutex);
  if (capturing) return refuse(kAlreadyCapturing, "Already capturing");
  if (!asked->object) return refuse(kInvalidDescriptor, "The capture descriptor has no capture object");
  if (!supports(asked->destination)) return refuse(kNotSupported, "Capturing is not supported");
  if (!asked->url || asked->url->path.empty()) return refuse(kInvalidDescriptor, "No output URL");
  folder = asked->url->path;
  if (folder.extension() != ".gputrace") return refuse(kInvalidDescriptor, "The output URL does not end in .gputrace");
  if (std::filesystem::exists(folder))
    return refuse(kInvalidDescriptor, "Output URL already exists: " + folder.string());
  std::error_code failed;
  if (!std::filesystem::create_directory(folder, failed)) return refuse(kInvalidDescriptor, failed.message());
  commands.open(folder / "commands");
  capturing = true;
  return true;
}

void CaptureManager::stop() {
  std::lock_guard lock(mutex);
  if (!capturing) report("argument", "stopCapture while nothing is captured");
  commands.close();
  capturing = false;
}

CaptureManager* shared_manager() {
  static CaptureManager* const only = [] {
    auto* made = create<CaptureManager>();
    made->immortal = true;
    return made;
  }();
  return only;
}

using M = CaptureManager;
const bool defined_manager =
    define_class("MTLCaptureManager",
                 {method<&M::supports>("supportsDestination:"), method<&M::is_capturing>("isCapturing"),
                  method<&M::start>("startCaptureWithDescriptor:error:"), method<&M::stop>("stopCapture")},
                 {class_method<&shared_manager>("sharedCaptureManager")});

using D = CaptureDescriptor;
const bool defined_descriptor =
    define_class("MTLCaptureDescriptor",
                 {getter<&D::object>("captureObject"), setter<&D::object>("setCaptureObject:"),
                  getter<&D::destination>("destination"), setter<&D::destination>("setDestination:"),
                  getter<&D::url>("outputURL"), setter<&D::url>("setOutputURL:")},
                 {allocates<D>()});

}  // namespace

void capture_command(const std::string& name) {
  CaptureManager* manager = shared_manager();
  std::lock_guard lock(manager->mutex);
  if (manager->capturing) manager->commands << name << '\n';
}

}  // namespace standin
