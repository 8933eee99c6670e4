// csrc/base/allocator.cpp -- aligned storage with a cache of freed blocks, and the memory counters
#include "base/allocator.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <map>
#include <mutex>
#include <unordered_set>
#include <vector>

#include "base/env.h"
#include "base/gpu_runtime.h"
#include "base/host_scope.h"
#include "nhwc/error.h"

namespace nhwc {
namespace {

// Sizes are rounded to one of eight classes per power of two, so a freed block fits the next array of about its size
// and at most 1/8 of it is wasted.
size_t size_class(size_t bytes) {
  if (bytes <= kAlignment) return kAlignment;
  const size_t step = std::max(kAlignment, std::bit_ceil(bytes) / 16);
  return (bytes + step - 1) / step * step;
}

// Larger requests are refused before any arithmetic on them could wrap around.
constexpr size_t kLargest = size_t(1) << 56;

// Blocks this large are aligned for huge pages: fewer TLB misses in packed weights and large activations.
constexpr size_t kHugePage = size_t(2) << 20;

size_t physical_memory() {
  return static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGE_SIZE));
}

}  // namespace

/// Of the process, or of a plan that has one of its own.
class Allocator {
 public:
  Allocator() = default;
  explicit Allocator(HostAllocator host) : host_(host) {}
  Allocator(const Allocator&) = delete;
  Allocator& operator=(const Allocator&) = delete;
  ~Allocator() { clear(); }

  void* take(size_t bytes) {
    if (bytes > kLargest) raise<MemoryError>("cannot allocate ", bytes, " bytes: no machine has them");
    const size_t size = size_class(bytes);
    {
      std::lock_guard lock(mutex);
      auto it = free_.find(size);
      if (it != free_.end() && !it->second.empty()) {
        void* p = pop_own(it->second);
        cached_ -= size;
        count_in(size);
        return p;
      }
      if (active_ + cached_ + derived_ + size > memory_limit_) make_room_locked();
      if (active_ + size > memory_limit_)
        raise<MemoryError>("cannot allocate ", bytes, " bytes: ", active_, " are in use and the limit is ",
                           memory_limit_, "; see set_memory_limit");
      count_in(size);
    }
    void* p = fresh(size);
    if (!p) {
      {
        std::lock_guard lock(mutex);
        make_room_locked();
      }
      p = fresh(size);
    }
    if (!p) {
      std::lock_guard lock(mutex);
      active_ -= size;
      raise<MemoryError>("cannot allocate ", bytes, " bytes: the system has no more memory (", active_,
                         " bytes in use)");
    }
    return p;
  }

  void give(void* p, size_t bytes) {
    const size_t size = size_class(bytes);
    const GpuRuntime* gpu = gpu_.load(std::memory_order_acquire);
    const bool for_all = !gpu || gpu->owns(p);  // not one from before the GPU was opened
    {
      std::lock_guard lock(mutex);
      active_ -= size;
      if (for_all && cached_ + derived_ + size <= cache_limit_ &&
          active_ + cached_ + derived_ + size <= memory_limit_) {
        free_[size].push_back({p, this_thread()});
        cached_ += size;
        return;
      }
    }
    free_block(p, size);
  }

  Derived* add_derived(Buffer& b, const uint64_t key[3], size_t bytes) {
    auto* d = new Derived{};
    std::copy(key, key + 3, d->key);
    d->bytes = size_class(bytes);
    d->data = fresh(d->bytes);
    if (!d->data) {
      delete d;
      raise<MemoryError>("cannot allocate ", bytes, " bytes for packed weights");
    }
    d->users.store(1);
    std::lock_guard lock(mutex);
    if (cached_ + derived_ + d->bytes > cache_limit_) make_room_locked();
    derived_ += d->bytes;
    d->next = b.derived;
    b.derived = d;
    b.has_derived.store(true, std::memory_order_relaxed);
    owners_.insert(&b);
    return d;
  }

  Derived* find_derived(Buffer& b, const uint64_t key[3]) {
    if (!b.has_derived.load(std::memory_order_relaxed)) return nullptr;  // most buffers: no lock
    std::lock_guard lock(mutex);
    for (Derived* d = b.derived; d; d = d->next)
      if (std::equal(key, key + 3, d->key)) {
        d->users.fetch_add(1, std::memory_order_relaxed);
        return d;
      }
    return nullptr;
  }

  void drop_derived(Buffer& b) {
    if (!b.has_derived.load(std::memory_order_relaxed)) return;
    std::lock_guard lock(mutex);
    while (Derived* d = b.derived) {
      b.derived = d->next;
      free_derived(d);
    }
    owners_.erase(&b);
  }

  void clear() {
    std::lock_guard lock(mutex);
    make_room_locked();
  }

  // Gives every cached block back to the system, and every derived one that nobody reads.
  void make_room_locked() {
    for (auto& [size, blocks] : free_)
      for (const FreeBlock& b : blocks) free_block(b.p, size);
    free_.clear();
    cached_ = 0;
    for (auto it = owners_.begin(); it != owners_.end();) {
      Buffer& b = **it;
      for (Derived** at = &b.derived; *at;) {
        Derived* d = *at;
        if (d->users.load(std::memory_order_acquire) > 0) {
          at = &d->next;
          continue;
        }
        *at = d->next;
        free_derived(d);
      }
      it = b.derived ? std::next(it) : owners_.erase(it);
    }
  }

  void share_with(const GpuRuntime& gpu) {
    std::lock_guard lock(mutex);
    gpu_.store(&gpu, std::memory_order_release);
    make_room_locked();  // blocks that the GPU cannot see are not handed out again
  }

  void set_host(HostAllocator host) {
    std::lock_guard lock(mutex);
    make_room_locked();
    if (active_ + derived_ > 0)
      raise<ValueError>("[set_host_allocator] ", active_ + derived_,
                        " bytes are in use; set it before the first array");
    host_ = host;
  }

  std::mutex mutex;
  size_t active_ = 0, peak_ = 0, cached_ = 0, derived_ = 0;
  size_t memory_limit_ = physical_memory() / 20 * 19;
  size_t cache_limit_ = physical_memory() / 4;
  std::atomic<size_t> workspace_limit_ = static_cast<size_t>(env_int("NHWC_WORKSPACE_MB", 64, 1)) << 20;

 private:
  void count_in(size_t size) {
    active_ += size;
    peak_ = std::max(peak_, active_);
  }

  void* fresh(size_t size) {
    if (const GpuRuntime* gpu = gpu_.load(std::memory_order_acquire)) {
      GpuError error;
      if (void* p = gpu->allocate(size, &error)) return p;
    }
    if (host_.allocate) return host_.allocate(host_.ctx, size, kAlignment);
    if (size < kHugePage) return std::aligned_alloc(kAlignment, size);
    const size_t padded = (size + kHugePage - 1) / kHugePage * kHugePage;
    if (padded < size) return nullptr;
    void* p = std::aligned_alloc(kHugePage, padded);
#if defined(MADV_HUGEPAGE)
    if (p) madvise(p, padded, MADV_HUGEPAGE);
#endif
    return p;
  }

  void free_block(void* p, size_t size) {
    const GpuRuntime* gpu = gpu_.load(std::memory_order_acquire);
    if (gpu && gpu->release(p)) return;
    host_.release ? host_.release(host_.ctx, p, size) : std::free(p);
  }

  void free_derived(Derived* d) {
    derived_ -= d->bytes;
    free_block(d->data, d->bytes);
    delete d;
  }

  struct FreeBlock {
    void* p;
    const void* thread;  // that gave it back
  };

  static const void* this_thread() {
    thread_local char mark;
    return &mark;
  }

  // One of the last blocks, if possible one that this thread gave back: scratch that another core wrote would have to
  // come from its cache, line by line.
  static void* pop_own(std::vector<FreeBlock>& blocks) {
    constexpr size_t kLookAt = 8;
    for (size_t i = blocks.size(); i > 0 && blocks.size() - i < kLookAt; --i)
      if (blocks[i - 1].thread == this_thread()) {
        std::swap(blocks[i - 1], blocks.back());
        break;
      }
    void* p = blocks.back().p;
    blocks.pop_back();
    return p;
  }

  HostAllocator host_;
  std::atomic<const GpuRuntime*> gpu_{nullptr};  // where blocks come from; null: from the system
  std::map<size_t, std::vector<FreeBlock>> free_;
  std::unordered_set<Buffer*> owners_;  // buffers that have something derived
};

namespace {

Allocator& allocator() {
  static Allocator* a = new Allocator;  // never destroyed: arrays may outlive static destructors
  return *a;
}

}  // namespace

void BufferRef::reset() {
  Buffer* b = std::exchange(b_, nullptr);
  if (!b || b->refs.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  allocator().drop_derived(*b);
  if (b->owned)
    allocator().give(b->data, b->bytes);
  else if (b->release)
    b->release(b->release_ctx);
  delete b;
}

BufferRef allocate(size_t bytes) {
  void* data = allocator().take(bytes);
  auto* b = new Buffer;
  b->data = data;
  b->bytes = bytes;
  return BufferRef(b);
}

BufferRef borrow(void* data, size_t bytes, void (*release)(void*), void* ctx) {
  auto* b = new Buffer;
  b->owned = false;
  b->immutable = false;
  b->data = data;
  b->bytes = bytes;
  b->release = release;
  b->release_ctx = ctx;
  return BufferRef(b);
}

Scratch::Scratch(size_t bytes) : Scratch(bytes, host_scope ? host_scope->memory : nullptr) {}
Scratch::Scratch(size_t bytes, Allocator* from) : from_(from), bytes_(bytes) {
  if (bytes) data_ = (from_ ? *from_ : allocator()).take(bytes);
}
Scratch::~Scratch() {
  if (data_) (from_ ? *from_ : allocator()).give(data_, bytes_);
}

void require_complete(const HostAllocator& a, const char* who) {
  if (!a.allocate != !a.release)
    raise<ValueError>("[", who, "] a host's allocator has only one of allocate and release; give both, or neither");
}
std::shared_ptr<Allocator> make_allocator(HostAllocator host) { return std::make_shared<Allocator>(host); }
void set_host_allocator(HostAllocator host) {
  require_complete(host, "set_host_allocator");
  allocator().set_host(host);
}

void share_memory_with(const GpuRuntime& runtime) { allocator().share_with(runtime); }

DerivedRef find_derived(Buffer& b, const uint64_t key[3]) { return DerivedRef(allocator().find_derived(b, key)); }
DerivedRef add_derived(Buffer& b, const uint64_t key[3], size_t bytes) {
  return DerivedRef(allocator().add_derived(b, key, bytes));
}

namespace {

template <class T>
T read(T Allocator::* field) {
  std::lock_guard lock(allocator().mutex);
  return allocator().*field;
}
template <class T>
T swap_in(T Allocator::* field, T value) {
  std::lock_guard lock(allocator().mutex);
  return std::exchange(allocator().*field, value);
}

}  // namespace

size_t get_active_memory() { return read(&Allocator::active_); }
size_t get_peak_memory() { return read(&Allocator::peak_); }
void reset_peak_memory() {
  std::lock_guard lock(allocator().mutex);
  allocator().peak_ = allocator().active_;
}
size_t get_cache_memory() {
  std::lock_guard lock(allocator().mutex);
  return allocator().cached_ + allocator().derived_;
}
void clear_cache() { allocator().clear(); }
size_t set_memory_limit(size_t bytes) { return swap_in(&Allocator::memory_limit_, bytes); }
size_t get_memory_limit() { return read(&Allocator::memory_limit_); }
size_t set_cache_limit(size_t bytes) {
  const size_t before = swap_in(&Allocator::cache_limit_, bytes);
  std::lock_guard lock(allocator().mutex);
  if (allocator().cached_ + allocator().derived_ > bytes) allocator().make_room_locked();
  return before;
}
size_t set_workspace_limit(size_t bytes) { return allocator().workspace_limit_.exchange(bytes); }
size_t get_workspace_limit() {
  return allocator().workspace_limit_.load(std::memory_order_relaxed);
}  // no lock: every plan

}  // namespace nhwc
