// csrc/backend/metal/launch.cpp -- one dispatch to the GPU, put together from nodes
#include "backend/metal/launch.h"

#include <cstring>

#include "nhwc/error.h"

namespace nhwc::metal {

StepContext& current_step() {
  static StepContext& step = *new StepContext;  // under the eval lock; never destroyed
  return step;
}

Reach reach_of(const Node& x) {
  int64_t low = 0, high = 0;
  for (size_t a = 0; a < x.shape.size(); ++a) {
    if (x.shape[a] == 0) return {x.data(), 0, 0};
    const int64_t far = (x.shape[a] - 1) * x.strides[a];
    (far < 0 ? low : high) += far;
  }
  const auto item = static_cast<int64_t>(size_of(x.dtype));
  return {x.data() + low * item, static_cast<size_t>((high - low + 1) * item), -low};
}

void* scratch(size_t bytes) {
  BufferRef block = allocate(bytes);
  void* data = block->data;
  current_step().kept.push_back(std::move(block));
  return data;
}

Launch::Launch(const char* library, std::string kernel, const char* source)
    : library_(library), kernel_(std::move(kernel)), source_(source) {}

Launch& Launch::bind(const void* data, size_t bytes, bool written) {
  operands_.push_back({data, bytes, written});
  return *this;
}

Launch& Launch::in(const void* data, size_t bytes) {
  if (bytes && !gpu_runtime()->owns(data)) {
    void* seen = scratch(bytes);
    std::memcpy(seen, data, bytes);
    data = seen;
  }
  return bind(data, bytes, false);
}
Launch& Launch::in(const Node& x) {
  const Reach r = reach_of(x);
  return in(r.low, r.bytes);
}

Launch& Launch::out(void* data, size_t bytes) {
  if (bytes && !gpu_runtime()->owns(data)) raise<MemoryError>("the GPU has no memory for ", bytes, " bytes");
  return bind(data, bytes, true);
}
Launch& Launch::out(const Node& n) { return out(n.data(), static_cast<size_t>(size_of(n.shape)) * size_of(n.dtype)); }
Launch& Launch::none() { return bind(nullptr, 0, false); }

GpuConstant& Launch::add_constant(int index, GpuConstant::Type type) {
  GpuConstant c{};
  c.index = static_cast<uint16_t>(index);
  c.type = type;
  constants_.push_back(c);
  return constants_.back();
}
Launch& Launch::constant(int index, bool v) {
  add_constant(index, GpuConstant::boolean).u = v;
  return *this;
}
Launch& Launch::constant(int index, int32_t v) {
  add_constant(index, GpuConstant::int32).i = v;
  return *this;
}
Launch& Launch::constant(int index, uint32_t v) {
  add_constant(index, GpuConstant::uint32).u = v;
  return *this;
}
Launch& Launch::constant(int index, float v) {
  add_constant(index, GpuConstant::float32).f = v;
  return *this;
}

Launch& Launch::params(const void* data, size_t bytes) {
  const char* first = static_cast<const char*>(data);
  params_.assign(first, first + bytes);
  return *this;
}

void Launch::run(uint32_t groups_x, uint32_t groups_y, uint32_t groups_z, uint32_t threads_x, uint32_t threads_y,
                 uint32_t threads_z) {
  if (groups_x == 0 || groups_y == 0 || groups_z == 0) return;
  const GpuLaunch launch{library_,
                         source_,
                         kernel_.c_str(),
                         constants_.data(),
                         static_cast<int32_t>(constants_.size()),
                         operands_.data(),
                         static_cast<int32_t>(operands_.size()),
                         params_.empty() ? nullptr : params_.data(),
                         static_cast<int32_t>(params_.size()),
                         {groups_x, groups_y, groups_z},
                         {threads_x, threads_y, threads_z}};
  GpuError error{};
  const GpuStatus status = gpu_runtime()->encode(current_step().queue, &launch, &error);
  if (status != GpuStatus::ok) raise_gpu(status, error, kernel_.c_str());
}

const char* short_name(Dtype t) {
  static constexpr const char* names[kDtypeCount] = {"bool", "u8",  "u16", "u32",  "u64", "i8", "i16",
                                                     "i32",  "i64", "f16", "bf16", "f32", "f64"};
  return names[static_cast<int>(t)];
}

}  // namespace nhwc::metal
