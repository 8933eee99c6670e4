// tests/apple/emulator/core/module.cpp -- opens what compile.py wrote
#include <dlfcn.h>
#include <stdlib.h>

#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>

#include "core.h"
#include "opened.h"

namespace {

std::mutex mutex;
std::map<std::string, std::unique_ptr<emu_module>> opened;

emu_status refuse(emu_error* error, const std::string& text) {
  if (error) std::snprintf(error->text, sizeof error->text, "%s", text.c_str());
  return EMU_BAD_MODULE;
}

void describe(emu_module& module) {
  const msl::ModuleInfo& info = *module.info;
  module.bindings.resize(info.kernel_count);
  for (uint32_t i = 0; i < info.kernel_count; ++i) {
    const msl::KernelInfo& kernel = info.kernels[i];
    for (uint32_t b = 0; b < kernel.binding_count; ++b) {
      const msl::BindingInfo& from = kernel.bindings[b];
      module.bindings[i].push_back({from.kind == msl::Bind::buffer ? EMU_BUFFER : EMU_THREADGROUP, from.index,
                                    from.name, from.bytes, from.reference, from.written, from.enabled});
    }
    module.kernels.push_back({kernel.name, kernel.file, int32_t(kernel.line), kernel.max_threads, kernel.binding_count,
                              module.bindings[i].data(), &module});
    module.by_name[kernel.name] = i;
  }
  for (uint32_t i = 0; i < info.constant_count; ++i) {
    const msl::ConstantInfo& constant = info.constants[i];
    module.constants.push_back({constant.name, constant.index, emu_type(constant.type), constant.bytes});
  }
}

}  // namespace

extern "C" {

emu_status emu_open(const char* path, emu_module** module, emu_error* error) {
  std::lock_guard lock(mutex);
  char* real = realpath(path, nullptr);
  const std::string key = real ? real : path;
  free(real);
  if (auto found = opened.find(key); found != opened.end()) {
    ++found->second->uses;
    *module = found->second.get();
    return EMU_OK;
  }
  void* handle = dlopen(key.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) return refuse(error, dlerror());
  auto entry = reinterpret_cast<const msl::ModuleInfo* (*)()>(dlsym(handle, "msl_module_v1"));
  const msl::ModuleInfo* info = entry ? entry() : nullptr;
  if (!info || info->version != msl::kModuleVersion) {
    dlclose(handle);
    return refuse(error, key + " is no compiled .metal file of this version");
  }
  auto made = std::make_unique<emu_module>();
  made->path = key;
  made->handle = handle;
  made->info = info;
  info->attach(&emu::runtime);
  describe(*made);
  *module = made.get();
  opened[key] = std::move(made);
  return EMU_OK;
}

void emu_close(emu_module* module) {
  std::lock_guard lock(mutex);
  if (!module || --module->uses) return;
  dlclose(module->handle);
  const std::string path = module->path;
  opened.erase(path);
}

uint32_t emu_kernel_count(const emu_module* module) { return uint32_t(module->kernels.size()); }
const emu_kernel* emu_kernel_at(const emu_module* module, uint32_t i) { return &module->kernels[i]; }
const emu_kernel* emu_find_kernel(const emu_module* module, const char* name) {
  auto found = module->by_name.find(name);
  return found == module->by_name.end() ? nullptr : &module->kernels[found->second];
}
uint32_t emu_constant_count(const emu_module* module) { return uint32_t(module->constants.size()); }
const emu_constant* emu_constant_at(const emu_module* module, uint32_t i) { return &module->constants[i]; }

}  // extern "C"
