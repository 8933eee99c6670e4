// tests/apple/standin/metal/library.cpp -- MTLLibrary, MTLFunction, compile options and function constants
#include "standin/metal/library.h"

#include <algorithm>
#include <cstring>
#include <functional>

#include "standin/debug/faults.h"
#include "standin/debug/report.h"

namespace standin {
namespace {

constexpr const char* kDomain = "MTLLibraryErrorDomain";

struct ConstantInfo : Object {
  static constexpr const char* kClass = "MTLFunctionConstant";
  Ref<String> name;
  UInteger type = 0, index = 0;
  bool required = true;
};

using O = CompileOptions;
const bool defined_options = define_class(
    "MTLCompileOptions",
    {getter<&O::fast_math>("fastMathEnabled"), setter<&O::fast_math>("setFastMathEnabled:"),
     getter<&O::preserve_invariance>("preserveInvariance"), setter<&O::preserve_invariance>("setPreserveInvariance:"),
     getter<&O::math_mode>("mathMode"), setter<&O::math_mode>("setMathMode:"),
     getter<&O::math_functions>("mathFloatingPointFunctions"),
     setter<&O::math_functions>("setMathFloatingPointFunctions:"), getter<&O::language_version>("languageVersion"),
     setter<&O::language_version>("setLanguageVersion:"), getter<&O::library_type>("libraryType"),
     setter<&O::library_type>("setLibraryType:"), getter<&O::optimization>("optimizationLevel"),
     setter<&O::optimization>("setOptimizationLevel:"), getter<&O::max_threads>("maxTotalThreadsPerThreadgroup"),
     setter<&O::max_threads>("setMaxTotalThreadsPerThreadgroup:"), getter<&O::macros>("preprocessorMacros"),
     setter<&O::macros>("setPreprocessorMacros:")},
    {allocates<O>()});

using V = FunctionConstantValues;
const bool defined_values = define_class(
    "MTLFunctionConstantValues",
    {method<&V::set_at>("setConstantValue:type:atIndex:"), method<&V::set_named>("setConstantValue:type:withName:"),
     method<&V::set_range>("setConstantValues:type:withRange:"), method<&V::reset>("reset")},
    {allocates<V>()});

using L = Library;
const bool defined_library = define_class(
    "MTLLibrary", {getter<&L::device>("device"), getter<&L::label>("label"), setter<&L::label>("setLabel:"),
                   method<&L::function_names>("functionNames"), method<&L::function>("newFunctionWithName:"),
                   method<&L::specialised>("newFunctionWithName:constantValues:error:"), method<&L::type>("type"),
                   method<&L::install_name>("installName")});

using F = KernelFunction;
const bool defined_function = define_class(
    "MTLFunction", {method<&F::device>("device"), getter<&F::label>("label"), setter<&F::label>("setLabel:"),
                    getter<&F::name>("name"), method<&F::type>("functionType"), method<&F::options>("options"),
                    method<&F::constants_dictionary>("functionConstantsDictionary")});

using C = ConstantInfo;
const bool defined_constant = define_class(
    "MTLFunctionConstant",
    {getter<&C::name>("name"), getter<&C::type>("type"), getter<&C::index>("index"), getter<&C::required>("required")});

const bool defined_device =
    define_class("MTLDevice", {{"newLibraryWithSource:options:error:",
                                reinterpret_cast<Function>(+[](Device* self, Selector, const String* source,
                                                               CompileOptions* options, Error** error) {
                                  check_argument(source);
                                  check_argument(options);
                                  return new_library(self, source, options, error);
                                })}});

/// 0 for types that the stand-in does not know.
UInteger bytes_of(UInteger type) {
  switch (type) {
    case kDataBool:
      return 1;
    case kDataShort:
    case kDataUShort:
    case kDataHalf:
      return 2;
    case kDataInt:
    case kDataUInt:
    case kDataFloat:
      return 4;
    default:
      return 0;
  }
}

UInteger data_type_of(emu_type type) {
  switch (type) {
    case EMU_BOOL:
      return kDataBool;
    case EMU_INT:
      return kDataInt;
    case EMU_UINT:
      return kDataUInt;
    case EMU_FLOAT:
      return kDataFloat;
    case EMU_SHORT:
      return kDataShort;
    case EMU_USHORT:
      return kDataUShort;
    case EMU_HALF:
      return kDataHalf;
    default:
      return 0;
  }
}

ConstantValue read_value(const void* value, UInteger type) {
  ConstantValue read{type, {}};
  const UInteger bytes = bytes_of(type);
  if (!bytes) report("constant", format("MTLDataType %lu is no type of a function constant here", type));
  std::memcpy(read.bytes.data(), value, bytes);
  return read;
}

/// Looks up what the function's constants were given; reports a type that is not the declared one.
void take_constants(KernelFunction* function, const FunctionConstantValues* values) {
  const emu_module* module = function->library->module;
  for (uint32_t i = 0; i < emu_constant_count(module); ++i) {
    const emu_constant* constant = emu_constant_at(module, i);
    const ConstantValue* value = nullptr;
    if (const auto it = values->by_index.find(constant->index); it != values->by_index.end()) value = &it->second;
    if (const auto it = values->by_name.find(constant->name); it != values->by_name.end()) value = &it->second;
    if (!value) continue;
    if (value->type != data_type_of(constant->type)) {
      report("constant",
             format("function constant '%s' (%u) of %s was given MTLDataType %lu, but is of %lu", constant->name,
                    constant->index, function->kernel->name, value->type, data_type_of(constant->type)));
      continue;
    }
    function->constants[constant->index] = *value;
  }
}

KernelFunction* make_function(Library* library, const emu_kernel* kernel) {
  auto* made = create<KernelFunction>();
  made->library = library;
  made->kernel = kernel;
  made->name = take(create<String>(kernel->name));
  return made;
}

}  // namespace

void FunctionConstantValues::set_at(const void* value, UInteger type, UInteger index) {
  by_index[index] = read_value(value, type);
}

void FunctionConstantValues::set_named(const void* value, UInteger type, const String* name) {
  by_name[name->text] = read_value(value, type);
}

void FunctionConstantValues::set_range(const void* values, UInteger type, Range range) {
  for (UInteger i = 0; i < range.length; ++i) {
    set_at(static_cast<const char*>(values) + i * bytes_of(type), type, range.location + i);
  }
}

void FunctionConstantValues::reset() {
  by_index.clear();
  by_name.clear();
}

Library* new_library(Device* device, const String* source, CompileOptions* options, Error** error) {
  std::string text, problem;
  if (options && options->macros) {
    for (const auto& [name, value] : options->macros->items) text += "#define " + name + " " + value->describe() + "\n";
    text += "#line 1\n";
  }
  text += source->text;
  emu_module* module = nullptr;
  if (fault_hits("library")) {
    problem = "injected: the compiler failed";
  } else {
    module = compile_module(text, &problem);
  }
  if (!module) {
    set_error(error, kDomain, kLibraryCompileFailure, problem);
    return nullptr;
  }
  Library* made = create<Library>();
  made->device = device;
  made->module = module;
  made->hash = std::hash<std::string>()(text);
  return made;
}

Library::~Library() { emu_close(module); }

UInteger Library::static_memory(const emu_kernel* kernel) {
  std::lock_guard lock(mutex_);
  return static_memory_[kernel];
}

void Library::learn(const emu_kernel* kernel, const emu_launch& launch, const emu_counters& counters) {
  UInteger bound = 0;
  for (uint32_t bytes : launch.threadgroup_bytes) bound += bytes;
  std::lock_guard lock(mutex_);
  UInteger& known = static_memory_[kernel];
  if (counters.threadgroup_bytes > bound) known = std::max<UInteger>(known, counters.threadgroup_bytes - bound);
}

Array* Library::function_names() {
  auto* names = create_autoreleased<Array>();
  for (uint32_t i = 0; i < emu_kernel_count(module); ++i)
    names->items.push_back(string(emu_kernel_at(module, i)->name));
  return names;
}

KernelFunction* Library::function(const String* name) {
  const emu_kernel* kernel = emu_find_kernel(module, name->text.c_str());
  return kernel ? make_function(this, kernel) : nullptr;
}

KernelFunction* Library::specialised(const String* name, FunctionConstantValues* values, Error** error) {
  const emu_kernel* kernel = emu_find_kernel(module, name->text.c_str());
  if (!kernel || fault_hits("function")) {
    set_error(error, kDomain, kLibraryFunctionNotFound, "Function " + name->text + " was not found in the library");
    return nullptr;
  }
  KernelFunction* made = make_function(this, kernel);
  if (values) take_constants(made, values);
  return made;
}

Dictionary* KernelFunction::constants_dictionary() {
  auto* all = create_autoreleased<Dictionary>();
  for (uint32_t i = 0; i < emu_constant_count(library->module); ++i) {
    const emu_constant* constant = emu_constant_at(library->module, i);
    auto* info = create_autoreleased<ConstantInfo>();
    info->name = string(constant->name);
    info->type = data_type_of(constant->type);
    info->index = constant->index;
    all->items[constant->name] = info;
  }
  return all;
}

std::string KernelFunction::identity() const {
  std::string text = format("%016lx %s", library->hash, kernel->name);
  for (const auto& [index, value] : constants) {
    uint32_t bits;
    std::memcpy(&bits, value.bytes.data(), sizeof bits);
    text += format(" %lu=%08x", index, bits);
  }
  return text;
}

}  // namespace standin
