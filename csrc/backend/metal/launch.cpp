// csrc/backend/metal/launch.cpp -- one dispatch to the GPU, put together from nodes
#include "backend/metal/launch.h"

#include <algorithm>
#include <cstring>

#include "nhwc/error.h"
#include "nhwc/memory.h"

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
  StepContext& step = current_step();
  constexpr size_t kSlack = size_t(64) << 10;  // what a block may be too large beside half of it
  auto found = step.spare.end();
  for (auto it = step.spare.begin(); it != step.spare.end(); ++it)
    if ((*it)->bytes >= bytes && (*it)->bytes <= 2 * bytes + kSlack &&
        (found == step.spare.end() || (*it)->bytes < (*found)->bytes))
      found = it;
  BufferRef block;
  if (found != step.spare.end()) {
    block = std::move(*found);
    step.spare.erase(found);
  } else {
    block = allocate(bytes);
    step.made += bytes;
  }
  void* data = block->data;
  step.scratch.push_back(std::move(block));
  return data;
}

void* shared_scratch(size_t bytes) {
  BufferRef block = allocate(bytes);
  void* data = block->data;
  current_step().made += bytes;
  current_step().kept.push_back(std::move(block));
  return data;
}

void keep_as_scratch(BufferRef block) {
  current_step().made += block->bytes;
  current_step().scratch.push_back(std::move(block));
}

void spare_scratch(size_t mark) {
  StepContext& step = current_step();
  for (size_t i = mark; i < step.scratch.size(); ++i) {
    step.kept.push_back(step.scratch[i]);
    step.spare.push_back(std::move(step.scratch[i]));
  }
  step.scratch.resize(std::min(mark, step.scratch.size()));
  size_t bytes = 0;
  auto first = step.spare.end();  // the newest, as many as the limit holds
  while (first != step.spare.begin() && bytes + (*std::prev(first))->bytes <= get_workspace_limit())
    bytes += (*--first)->bytes;
  step.spare.erase(step.spare.begin(), first);
}

int64_t at_once(int64_t count, size_t bytes, int64_t least, double share) {
  const auto fit =
      static_cast<int64_t>(share * static_cast<double>(get_workspace_limit()) / static_cast<double>(bytes));
  return std::min(count, std::max(least, fit));
}

Launch::Launch(const char* library, std::string kernel, const char* source)
    : library_(library), kernel_(std::move(kernel)), source_(source) {}

Launch& Launch::bind(const void* data, size_t bytes, bool written) {
  operands_.push_back({data, bytes, written});
  return *this;
}

Launch& Launch::in(const void* data, size_t bytes) {
  if (bytes && !gpu_runtime()->owns(data)) {
    auto& copied = current_step().copied;
    const auto known =
        std::find_if(copied.begin(), copied.end(), [=](const auto& c) { return c.from == data && c.bytes == bytes; });
    if (known != copied.end()) return bind(known->to, bytes, false);
    void* seen = shared_scratch(bytes);
    std::memcpy(seen, data, bytes);
    copied.push_back({data, bytes, seen});
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
