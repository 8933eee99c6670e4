// tests/base/test_allocator.cpp -- storage, its cache, its counters and limits
#include <doctest/doctest.h>

#include <cstring>
#include <future>
#include <memory>
#include <thread>

#include "base/allocator.h"
#include "nhwc/error.h"

using namespace nhwc;

TEST_CASE("storage is aligned, counted, and reused") {
  clear_cache();
  const size_t before = get_active_memory();
  void* first;
  {
    BufferRef a = allocate(100'000);
    first = a->data;
    CHECK(reinterpret_cast<uintptr_t>(first) % kAlignment == 0);
    CHECK(get_active_memory() >= before + 100'000);
    CHECK(get_active_memory() <= before + 100'000 * 9 / 8);
  }
  CHECK(get_active_memory() == before);
  CHECK(get_cache_memory() >= 100'000);
  CHECK(allocate(99'999)->data == first);
  clear_cache();
  CHECK(get_cache_memory() == 0);
}

TEST_CASE("a thread gets back the storage that it freed itself, where there is a choice") {
  clear_cache();
  constexpr size_t kBytes = 300'000;
  auto here = std::make_unique<Scratch>(kBytes);
  void* mine = here->as<void>();
  std::promise<void> taken, freed;
  std::thread other([&] {
    const Scratch theirs(kBytes);
    taken.set_value();
    freed.get_future().wait();
  });
  taken.get_future().wait();
  here.reset();
  freed.set_value();
  other.join();  // theirs was freed last
  CHECK(Scratch(kBytes).as<void>() == mine);
}

TEST_CASE("the peak follows, and is reset") {
  reset_peak_memory();
  const size_t base = get_active_memory();
  {
    Scratch s(1 << 20);
  }
  CHECK(get_peak_memory() >= base + (1 << 20));
  reset_peak_memory();
  CHECK(get_peak_memory() == get_active_memory());
}

TEST_CASE("limits: too much raises MemoryError, and small storage still works") {
  CHECK_THROWS_AS(allocate(size_t(1) << 60), MemoryError);
  CHECK_THROWS_AS(allocate(~size_t(0) - 100), MemoryError);
  const size_t before = set_memory_limit(get_active_memory() + (1 << 20));
  CHECK_THROWS_AS(allocate(1 << 22), MemoryError);
  CHECK(allocate(1000)->data != nullptr);
  set_memory_limit(before);
  CHECK(get_memory_limit() == before);
}

TEST_CASE("lent storage goes back to its owner once") {
  int released = 0;
  int block[4] = {};
  {
    BufferRef a = borrow(block, sizeof block, [](void* n) { ++*static_cast<int*>(n); }, &released);
    BufferRef b = a;
    CHECK(!a->immutable);
  }
  CHECK(released == 1);
}

TEST_CASE("derived storage is found by key, counted as cache, evicted unless read, freed with its buffer") {
  clear_cache();
  const uint64_t key[3] = {1, 2, 3}, other[3] = {1, 2, 4};
  {
    BufferRef a = allocate(64);
    CHECK(find_derived(*a.get(), key).data() == nullptr);
    const void* where;
    {
      DerivedRef d = add_derived(*a.get(), key, 5000);
      where = d.data();
      clear_cache();
      CHECK(find_derived(*a.get(), key).data() == where);  // in use: stays
    }
    CHECK(find_derived(*a.get(), other).data() == nullptr);
    CHECK(get_cache_memory() >= 5000);
    clear_cache();
    CHECK(find_derived(*a.get(), key).data() == nullptr);
    add_derived(*a.get(), key, 5000);
  }
  CHECK(get_cache_memory() < 5000);
}
