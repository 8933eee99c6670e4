// tests/apple/emulator/core/memory.cpp -- threadgroup memory: one arena, with what lies between blocks out of bounds
#include <sys/mman.h>

#include "core.h"

namespace emu {

void* bound_buffers[EMU_MAX_BUFFERS];

namespace {

constexpr uint64_t kGap = 128;  // between blocks, where an index that is off by a little falls
constexpr uint64_t kMaxBlocks = 64;
constexpr uint64_t kArena = EMU_THREADGROUP_LIMIT + (kMaxBlocks + 1) * (kGap + 64);

struct Block {
  const void* key;
  unsigned char* data;
  uint64_t bytes;
  const char* name;
};
Block blocks[kMaxBlocks];
uint64_t block_count, used, total;
void* bindings[EMU_MAX_THREADGROUP_BINDINGS];
unsigned char* arena;

Block* new_block(const void* key, uint64_t bytes, const char* name) {
  Block& block = blocks[block_count++];
  block = {key, arena + used, bytes, name};
  asan_unpoison(block.data, bytes);
  quiet_fill(block.data, bytes);
  used += (bytes + kGap + 63) / 64 * 64;
  total += bytes;
  return &block;
}

}  // namespace

void* const* threadgroup_bindings() { return bindings; }
uint64_t threadgroup_bytes() { return total; }

void begin_threadgroup_memory(const emu_launch& given) {
  if (!arena || with_tsan()) {
    // Mapped anew for each group under TSan, which then forgets who touched it.
    arena = static_cast<unsigned char*>(
        mmap(arena, kArena, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | (arena ? MAP_FIXED : 0), -1, 0));
  }
  asan_poison(arena, kArena);
  block_count = 0;
  total = 0;
  used = 64;
  for (int i = 0; i < EMU_MAX_THREADGROUP_BINDINGS; ++i)
    bindings[i] =
        given.threadgroup_bytes[i] ? new_block(nullptr, given.threadgroup_bytes[i], "[[threadgroup]]")->data : nullptr;
}

void* threadgroup_block(const void* key, uint64_t bytes, msl::Site site) {
  for (uint64_t i = 0; i < block_count; ++i)
    if (blocks[i].key == key) return blocks[i].data;
  if (total + bytes > EMU_THREADGROUP_LIMIT || block_count == kMaxBlocks)
    fail("threadgroup memory of " + std::to_string(total + bytes) + " bytes with '" + site.what + "' of " +
             std::to_string(bytes) + ": the limit is " + std::to_string(EMU_THREADGROUP_LIMIT),
         site);
  return new_block(key, bytes, site.what)->data;
}

bool in_threadgroup_memory(const void* p) {
  const auto* q = static_cast<const unsigned char*>(p);
  return q >= arena && q < arena + kArena;
}

void threadgroup_range(const unsigned char** begin, const unsigned char** end) {
  *begin = arena;
  *end = arena + kArena;
}

bool inside_threadgroup_block(const void* p, uint64_t bytes) {
  const auto* q = static_cast<const unsigned char*>(p);
  for (uint64_t i = 0; i < block_count; ++i)
    if (q >= blocks[i].data && q + bytes <= blocks[i].data + blocks[i].bytes) return true;
  return false;
}

std::string describe_threadgroup(const void* p) {
  const auto* q = static_cast<const unsigned char*>(p);
  const Block* nearest = nullptr;
  for (uint64_t i = 0; i < block_count && blocks[i].data <= q; ++i) nearest = &blocks[i];
  if (!nearest) return "before all threadgroup memory";
  const uint64_t offset = uint64_t(q - nearest->data);
  const std::string who = std::string("threadgroup memory '") + nearest->name + "'";
  if (offset < nearest->bytes) return "byte " + std::to_string(offset) + " of " + who;
  return std::to_string(offset - nearest->bytes) + " bytes past the end of " + who + ", which has " +
         std::to_string(nearest->bytes);
}

}  // namespace emu
