// tests/apple/emulator/core/opened.h -- a module that was opened
#pragma once

#include <map>
#include <string>
#include <vector>

#include "../emulator.h"
#include "../include/msl/module.h"

struct emu_module {
  std::string path;
  void* handle = nullptr;
  const msl::ModuleInfo* info = nullptr;
  int uses = 1;
  std::vector<emu_kernel> kernels;
  std::vector<std::vector<emu_binding>> bindings;
  std::vector<emu_constant> constants;
  std::map<std::string, uint32_t> by_name;
};
