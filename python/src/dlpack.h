// python/src/dlpack.h -- the structs of DLPack 1.1, whose layout is fixed:
// https://dmlc.github.io/dlpack/latest/c_api.html
#pragma once

#include <cstdint>
#include <optional>

#include "nhwc/dtype.h"

namespace nhwc::py::dl {

inline constexpr int32_t kCpu = 1, kCudaHost = 3;
inline constexpr uint64_t kReadOnly = 1, kIsCopied = 2;
inline constexpr uint32_t kMajor = 1, kMinor = 1;

struct Device {
  int32_t type, id;
};
enum Code : uint8_t { kInt = 0, kUInt = 1, kFloat = 2, kBfloat = 4, kComplex = 5, kBool = 6 };
struct DataType {
  uint8_t code, bits;
  uint16_t lanes;
};
struct Tensor {
  void* data;
  Device device;
  int32_t ndim;
  DataType dtype;
  int64_t* shape;
  int64_t* strides;  // in elements; null: row-major
  uint64_t byte_offset;
};
struct Managed {
  Tensor tensor;
  void* ctx;
  void (*deleter)(Managed*);
};
struct ManagedVersioned {
  uint32_t major, minor;
  void* ctx;
  void (*deleter)(ManagedVersioned*);
  uint64_t flags;
  Tensor tensor;
};

constexpr DataType type_of(Dtype t) {
  uint8_t code = t == Dtype::bool_      ? kBool
                 : t == Dtype::bfloat16 ? kBfloat
                 : is_floating(t)       ? kFloat
                 : is_unsigned(t)       ? kUInt
                                        : kInt;
  return {code, static_cast<uint8_t>(size_of(t) * 8), 1};
}

/// nullopt for what nhwc has no type for.
constexpr std::optional<Dtype> dtype_of(DataType d) {
  for (int i = 0; i < kDtypeCount; ++i) {
    Dtype t = static_cast<Dtype>(i);
    DataType e = type_of(t);
    if (e.code == d.code && e.bits == d.bits && d.lanes == 1) return t;
  }
  return std::nullopt;
}

}  // namespace nhwc::py::dl
