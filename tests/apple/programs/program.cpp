// tests/apple/programs/program.cpp -- runs one case in an autorelease pool, then says what was misused and what is
// alive
#include "programs/program.h"

namespace program {
namespace {

const char* const kSource = R"(
#include <metal_stdlib>
using namespace metal;

struct ScaleParams {
  int n;
  float factor;
};

constant bool has_bias [[function_constant(0)]];
constant float bias [[function_constant(1)]];

[[kernel]] void scale(device const float* x [[buffer(0)]], device float* y [[buffer(1)]],
                      constant ScaleParams& p [[buffer(2)]], uint i [[thread_position_in_grid]]) {
  if (int(i) < p.n) y[i] = x[i] * p.factor;
}

[[kernel]] void twice_biased(device float* x [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  x[i] = 2 * x[i] + (has_bias ? bias : 0.0f);
}

[[kernel]] void sum(device const float* x [[buffer(0)]], device float* y [[buffer(1)]],
                    threadgroup float* partial [[threadgroup(0)]], uint i [[thread_position_in_threadgroup]],
                    uint n [[threads_per_threadgroup]]) {
  partial[i] = x[i];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (i == 0) {
    float all = 0;
    for (uint k = 0; k < n; ++k) all += partial[k];
    y[0] = all;
  }
}

[[kernel, max_total_threads_per_threadgroup(64)]] void narrow(device float* x [[buffer(0)]],
                                                              uint i [[thread_position_in_grid]]) {
  x[i] += 1;
}
)";

}  // namespace

std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}

Gpu::Gpu()
    : device(NS::TransferPtr(MTL::CreateSystemDefaultDevice())), queue(NS::TransferPtr(device->newCommandQueue())) {
  NS::Error* error = nullptr;
  library = NS::TransferPtr(device->newLibrary(text(kSource), static_cast<MTL::CompileOptions*>(nullptr), &error));
  if (library) return;
  std::fprintf(stderr, "%s\n", error->localizedDescription()->utf8String());
  std::exit(3);
}

Ptr<MTL::Function> Gpu::function(const char* name) const { return NS::TransferPtr(library->newFunction(text(name))); }

Ptr<MTL::ComputePipelineState> Gpu::pipeline(const char* name) const {
  NS::Error* error = nullptr;
  auto made = NS::TransferPtr(device->newComputePipelineState(function(name).get(), &error));
  EXPECT(made);
  return made;
}

Ptr<MTL::Buffer> Gpu::buffer(int n, float value, MTL::ResourceOptions options) const {
  auto made = NS::TransferPtr(device->newBuffer(sizeof(float) * NS::UInteger(n), options));
  for (int i = 0; i < n; ++i) floats(made)[i] = value;
  return made;
}

void scale(MTL::ComputeCommandEncoder* encoder, MTL::ComputePipelineState* pipeline, MTL::Buffer* x, MTL::Buffer* y,
           int n, float factor, NS::UInteger y_offset) {
  const ScaleParams params{n, factor};
  encoder->setComputePipelineState(pipeline);
  encoder->setBuffer(x, 0, 0);
  encoder->setBuffer(y, y_offset, 1);
  encoder->setBytes(&params, sizeof params, 2);
  encoder->dispatchThreadgroups(MTL::Size(NS::UInteger(n + 31) / 32, 1, 1), MTL::Size(32, 1, 1));
}

void finish(MTL::CommandBuffer* commands, MTL::ComputeCommandEncoder* encoder) {
  encoder->endEncoding();
  commands->commit();
  commands->waitUntilCompleted();
}

}  // namespace program

// Prints "misuse: ..." for each report and "alive: ..." where objects are left; 0 where the case ran to its end.
int main(int argc, char** argv) {
  const std::string name = argc > 1 ? argv[1] : "";
  for (const program::Case& c : program::cases()) {
    if (name.empty()) std::printf("%s\n", c.name);
    if (name != c.name) continue;
    auto* pool = NS::AutoreleasePool::alloc()->init();
    c.run();
    pool->release();
    static char lines[1 << 16];
    if (nhwc_standin_errors(lines, sizeof lines)) std::printf("misuse: %s", lines);
    if (nhwc_standin_live_objects(lines, sizeof lines)) std::printf("alive: %s\n", lines);
    std::printf("ended\n");
    return 0;
  }
  return name.empty() ? 0 : 2;
}
