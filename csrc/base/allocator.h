// csrc/base/allocator.h -- aligned storage with a cache of freed blocks, and the memory counters
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "nhwc/host.h"
#include "nhwc/memory.h"

namespace nhwc {

inline constexpr size_t kAlignment = 64;  // one cache line, one AVX-512 vector; JAX imports without a copy from here

/// Storage of arrays; shared by every view of it.
struct Buffer {
  std::atomic<uint32_t> refs{1};
  bool owned = true;                  // ours, from the allocator; false: lent by NumPy, DLPack, a C++ caller
  std::atomic<bool> immutable{true};  // false after a writable export: nothing may be remembered about the contents
  void* data = nullptr;
  size_t bytes = 0;
  void (*release)(void* ctx) = nullptr;  // for lent storage: tells the owner
  void* release_ctx = nullptr;
  struct Derived* derived = nullptr;  // packed weights and the like, newest first; only the allocator, under its lock
  std::atomic<bool> has_derived{false};  // or had: `derived` may be asked for. Never false again, and so read unlocked
};

/// Something computed from a buffer's contents and kept with it, found by key.
struct Derived {
  uint64_t key[3];
  void* data;
  size_t bytes;
  std::atomic<uint32_t> users{0};  // evicted only while nobody reads it
  Derived* next;
};

class BufferRef {
 public:
  BufferRef() = default;
  explicit BufferRef(Buffer* b) : b_(b) {}  // takes over one reference
  BufferRef(const BufferRef& o) : b_(o.b_) {
    if (b_) b_->refs.fetch_add(1, std::memory_order_relaxed);
  }
  BufferRef(BufferRef&& o) noexcept : b_(std::exchange(o.b_, nullptr)) {}
  BufferRef& operator=(BufferRef o) noexcept {
    std::swap(b_, o.b_);
    return *this;
  }
  ~BufferRef() { reset(); }
  void reset();
  Buffer* get() const { return b_; }
  Buffer* operator->() const { return b_; }
  explicit operator bool() const { return b_ != nullptr; }

 private:
  Buffer* b_ = nullptr;
};

/// New storage of at least `bytes`, aligned to kAlignment, uninitialised. MemoryError where it cannot be had.
BufferRef allocate(size_t bytes);
/// Storage that somebody else owns; release(ctx) is called when the last view is gone.
BufferRef borrow(void* data, size_t bytes, void (*release)(void*), void* ctx);

struct GpuRuntime;
/// From now on new blocks come from the GPU's runtime, which the CPU can use as well, so that no array need be copied
/// between the two; from the system where the runtime has none. Blocks from before are copied when the GPU reads them.
void share_memory_with(const GpuRuntime& runtime);

/// Memory of its own for one user, from `host`: blocks are kept for reuse until it is destroyed, and are not in the
/// counters of the process.
class Allocator;
std::shared_ptr<Allocator> make_allocator(HostAllocator host);
/// ValueError where one of the functions is missing.
void require_complete(const HostAllocator& a, const char* who);

/// Uninitialised scratch for the duration of one kernel, or as long as a plan lives: from the allocator of the host
/// scope, or else from the same cache as arrays and counted the same way.
class Scratch {
 public:
  explicit Scratch(size_t bytes);
  Scratch(size_t bytes, Allocator* from);  // null: the process's
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  template <class T>
  T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  Allocator* from_;
  void* data_ = nullptr;
  size_t bytes_;
};

/// What was derived from `b` under `key`, made by make(ctx, dst) on first use; counted as cache and evictable. The
/// pointer stays valid while the handle lives. Raises what make raises.
class DerivedRef {
 public:
  DerivedRef() = default;
  explicit DerivedRef(Derived* d) : d_(d) {}
  DerivedRef(DerivedRef&& o) noexcept : d_(std::exchange(o.d_, nullptr)) {}
  DerivedRef& operator=(DerivedRef&& o) noexcept {
    std::swap(d_, o.d_);
    return *this;
  }
  ~DerivedRef() {
    if (d_) d_->users.fetch_sub(1, std::memory_order_release);
  }
  const void* data() const { return d_ ? d_->data : nullptr; }

 private:
  Derived* d_ = nullptr;
};
DerivedRef find_derived(Buffer& b, const uint64_t key[3]);
/// Keeps `bytes` of uninitialised storage under key; fill it before any other thread can look (the eval lock is held).
DerivedRef add_derived(Buffer& b, const uint64_t key[3], size_t bytes);

}  // namespace nhwc
