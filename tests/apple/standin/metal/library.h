// tests/apple/standin/metal/library.h -- libraries compiled by the emulator, their functions, pipelines and archives
#pragma once

#include <array>
#include <set>

#include "emulator/emulator.h"
#include "standin/metal/device.h"

namespace standin {

struct CompileOptions : Object {
  static constexpr const char* kClass = "MTLCompileOptions";
  bool fast_math = true, preserve_invariance = false;
  Integer math_mode = 2;
  Integer math_functions = 0;
  UInteger language_version = 3 << 16;
  Integer library_type = 0, optimization = 0;
  UInteger max_threads = 0;
  Ref<Dictionary> macros;
};

/// A function constant's value, with the type that the host said.
struct ConstantValue {
  UInteger type = 0;
  std::array<unsigned char, 4> bytes{};
};

struct FunctionConstantValues : Object {
  static constexpr const char* kClass = "MTLFunctionConstantValues";
  std::map<UInteger, ConstantValue> by_index;
  std::map<std::string, ConstantValue> by_name;

  void set_at(const void* value, UInteger type, UInteger index);
  void set_named(const void* value, UInteger type, const String* name);
  void set_range(const void* values, UInteger type, Range range);
  void reset();
};

struct KernelFunction;

struct Library : Object {
  static constexpr const char* kClass = "MTLLibrary";
  Device* device = nullptr;
  Ref<String> label;
  emu_module* module = nullptr;
  uint64_t hash = 0;  // of the source, for archives

  /// Threadgroup memory that a kernel declares itself; 0 until it has run once, since only then the emulator knows.
  UInteger static_memory(const emu_kernel* kernel);
  void learn(const emu_kernel* kernel, const emu_launch& launch, const emu_counters& counters);

  ~Library() override;
  Array* function_names();
  KernelFunction* function(const String* name);
  KernelFunction* specialised(const String* name, FunctionConstantValues* values, Error** error);
  Integer type() { return 0; }
  Object* install_name() { return nullptr; }

 private:
  std::mutex mutex_;
  std::map<const emu_kernel*, UInteger> static_memory_;
};

/// MTLFunction; a kernel with the constants that it was made with.
struct KernelFunction : Object {
  static constexpr const char* kClass = "MTLFunction";
  Ref<Library> library;
  Ref<String> label, name;
  const emu_kernel* kernel = nullptr;
  std::map<UInteger, ConstantValue> constants;

  Device* device() { return library->device; }
  UInteger type() { return 3; }  // kernel
  UInteger options() { return 0; }
  Dictionary* constants_dictionary();
  /// What an archive knows it by.
  std::string identity() const;
};

struct PipelineDescriptor : Object {
  static constexpr const char* kClass = "MTLComputePipelineDescriptor";
  Ref<String> label;
  Ref<KernelFunction> function;
  Ref<Array> archives;
  bool multiple_of_simd = false, indirect = false;
  UInteger max_threads = 0;

  void reset();
};

struct Pipeline : Object {
  static constexpr const char* kClass = "MTLComputePipelineState";
  Device* device = nullptr;
  Ref<String> label;
  Ref<KernelFunction> function;
  bool multiple_of_simd = false, indirect = false;
  UInteger max_threads = kMaxThreads;

  UInteger simd_width() { return kSimdWidth; }
  UInteger static_memory();
  std::string kernel_name() const { return function->kernel->name; }
  std::string describe() const override;
};

struct ArchiveDescriptor : Object {
  static constexpr const char* kClass = "MTLBinaryArchiveDescriptor";
  Ref<Url> url;
};

struct Archive : Object {
  static constexpr const char* kClass = "MTLBinaryArchive";
  Device* device = nullptr;
  Ref<String> label;
  std::set<std::string> known;  // identities of functions

  bool add(PipelineDescriptor* of, Error** error);
  bool serialize(const Url* url, Error** error);
};

/// Methods of MTLDevice, by the topic that has them: each file adds its own.
Library* new_library(Device* device, const String* source, CompileOptions* options, Error** error);
Pipeline* new_pipeline(Device* device, PipelineDescriptor* asked, UInteger options, Error** error);

/// Where compile.py is told to write, and what the modules are checked for: NHWC_EMULATOR_MODE, "plain" by default.
emu_module* compile_module(const std::string& source, std::string* error);

}  // namespace standin
