// python/src/xla_ffi.h -- XLA's C interface for foreign functions, as far as it is used here
// Layouts of xla/ffi/api/c_api.h of OpenXLA, API version 0.3, so that no header of jaxlib is needed to build.
// tests/python/test_jax_abi.py compares sizes, offsets and values with the header that jaxlib brings. XLA keeps what is
// here in later minor versions, and says so by `struct_size`, which covers the members that the caller knows of.
#pragma once

#include <cstddef>
#include <cstdint>

namespace nhwc::py::xla {

constexpr int kMajor = 0, kMinor = 3;

enum class DataType : unsigned { boolean = 1, int64 = 5, float16 = 10, float32 = 11, float64 = 12, bfloat16 = 16 };
enum class ArgumentKind : unsigned { buffer = 1 };  // of arguments and of results
enum class AttributeKind : unsigned { array = 1, scalar = 3, string = 4 };
enum class Stage : unsigned { instantiate, prepare, initialize, execute };
enum class ErrorCode : unsigned {
  invalid_argument = 3,
  resource_exhausted = 8,
  failed_precondition = 9,
  internal = 13
};

enum class ExtensionKind : unsigned { metadata = 1 };
struct Extension {
  size_t struct_size;
  ExtensionKind kind;
  Extension* next;
};

struct Version {
  size_t struct_size;
  Extension* extension;
  int major_version, minor_version;
};

struct Error;  // XLA's own; whoever is given one destroys it
struct ErrorCreateArgs {
  size_t struct_size;
  Extension* extension;
  const char* message;  // copied
  ErrorCode code;
};

struct Api {  // its first members
  size_t struct_size;
  Extension* extension;
  Version version;
  const void* internal;
  Error* (*error_create)(ErrorCreateArgs*);
};

struct Buffer {  // row-major, unless the call asked for another layout
  size_t struct_size;
  Extension* extension;
  DataType dtype;
  void* data;
  int64_t rank;
  int64_t* dims;
};

struct Arguments {  // results are the same
  size_t struct_size;
  Extension* extension;
  int64_t size;
  ArgumentKind* kinds;
  void** values;
};

struct ByteSpan {
  const char* data;
  size_t size;
};
struct ScalarAttribute {
  DataType dtype;
  void* value;
};
struct ArrayAttribute {
  DataType dtype;
  size_t size;
  void* data;
};
struct Attributes {  // sorted by name
  size_t struct_size;
  Extension* extension;
  int64_t size;
  AttributeKind* kinds;
  ByteSpan** names;
  void** values;  // ArrayAttribute*, ScalarAttribute*, ByteSpan*
};

struct CallFrame {
  size_t struct_size;
  Extension* extension;
  const Api* api;
  void* context;
  Stage stage;
  Arguments arguments, results;
  Attributes attributes;
  void* future;
};

/// When a handler is registered XLA calls it with this extension, to learn what it was built for.
struct Metadata {
  size_t struct_size;
  Version version;
  uint32_t traits;
  int64_t state_type;  // 0: keeps no state
};
struct MetadataExtension {
  Extension base;
  Metadata* metadata;
};

/// What `struct_size` says of a struct whose last member is `member`.
#define NHWC_XLA_SIZE(type, member) (offsetof(type, member) + sizeof(type::member))

}  // namespace nhwc::py::xla
