// tests/apple/programs/program.h -- what the programs that test the stand-in share: a device, kernels, one dispatch
#pragma once

#include <Foundation/Foundation.hpp>
#include <Metal/Metal.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "standin/hooks.h"

namespace program {

/// A test by its name; the list is in the order of the files.
struct Case {
  const char* name;
  void (*run)();
};
std::vector<Case>& cases();
struct Registered {
  Registered(const char* name, void (*run)()) { cases().push_back({name, run}); }
};
#define CASE(name)                                       \
  static void name();                                    \
  static const program::Registered name##_(#name, name); \
  static void name()

#define EXPECT(condition)                                                          \
  do {                                                                             \
    if (!(condition)) {                                                            \
      std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
      std::exit(3);                                                                \
    }                                                                              \
  } while (0)

template <class T>
using Ptr = NS::SharedPtr<T>;

inline NS::String* text(const char* s) { return NS::String::string(s, NS::UTF8StringEncoding); }

struct ScaleParams {
  int32_t n;
  float factor;
};

constexpr MTL::ResourceOptions kTracked = MTL::ResourceStorageModeShared;
constexpr MTL::ResourceOptions kUntracked = MTL::ResourceStorageModeShared | MTL::ResourceHazardTrackingModeUntracked;

/// A device, a queue, and a library with the kernels scale (y = x * factor), twice_biased (of function constants), sum
/// (one threadgroup, with threadgroup memory) and narrow (at most 64 threads).
struct Gpu {
  Ptr<MTL::Device> device;
  Ptr<MTL::CommandQueue> queue;
  Ptr<MTL::Library> library;

  Gpu();
  Ptr<MTL::Function> function(const char* name) const;
  Ptr<MTL::ComputePipelineState> pipeline(const char* name) const;
  /// Floats that all are `value`.
  Ptr<MTL::Buffer> buffer(int n, float value, MTL::ResourceOptions options = kTracked) const;
};

inline float* floats(const Ptr<MTL::Buffer>& buffer) { return static_cast<float*>(buffer->contents()); }

/// y[0..n) = x[0..n) * factor.
void scale(MTL::ComputeCommandEncoder* encoder, MTL::ComputePipelineState* pipeline, MTL::Buffer* x, MTL::Buffer* y,
           int n, float factor, NS::UInteger y_offset = 0);

/// Ends the encoder, commits, waits.
void finish(MTL::CommandBuffer* commands, MTL::ComputeCommandEncoder* encoder);

}  // namespace program
