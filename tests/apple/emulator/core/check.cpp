// tests/apple/emulator/core/check.cpp -- --mode check: counts traffic, finds access out of bounds and races
#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "core.h"

// Every access of a module compiled so comes here. Beside each granule of memory stands who wrote and who read it last,
// and how many barriers that thread had passed: two accesses of which one writes, by threads that no barrier parts, are
// a race whatever order they happened in. Groups of a launch are never ordered.

namespace emu {
namespace {

/// Who touched a granule: one thread, or several that the same barrier parts from others.
enum class Who : uint8_t { nobody, thread, simdgroup, group, many_groups };

struct Touch {
  uint32_t group;
  uint32_t place;  // see place_of
  uint16_t index, barriers, simd_barriers;
  Who who;
};
struct Cell {
  Touch read, write;
};

/// Memory that accesses may fall in, with a cell per granule.
struct Region {
  const unsigned char *begin, *end;
  Cell* cells;
  uint64_t granule;
  bool constant;
};
std::vector<Region> regions;  // device operands, in order of address
Region arena;                 // threadgroup memory
uint32_t group_number, first_group;

const emu_launch* given;
const msl::KernelInfo* kernel;

uint64_t mapped_bytes(const Region& region) {
  return (uint64_t(region.end - region.begin) / region.granule + 1) * sizeof(Cell);
}

void map_cells(Region& region) {
  void* p =
      mmap(nullptr, mapped_bytes(region), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  region.cells = static_cast<Cell*>(p);
}

std::string thread_text(uint32_t index) {
  const msl::Group& group = launch.group;
  return "thread (" + std::to_string(index % group.dispatch_threads[0]) + ", " +
         std::to_string(index / group.dispatch_threads[0] % group.dispatch_threads[1]) + ", " +
         std::to_string(index / group.dispatch_threads[0] / group.dispatch_threads[1]) + ")";
}

const char* buffer_name(uint32_t index) {
  for (uint32_t i = 0; i < kernel->binding_count; ++i)
    if (kernel->bindings[i].kind == msl::Bind::buffer && kernel->bindings[i].index == index)
      return kernel->bindings[i].name;
  return "";
}

/// "byte 12 of buffer 2 'y'", or how far from the nearest operand it is.
std::string describe(const unsigned char* p) {
  if (in_threadgroup_memory(p)) return describe_threadgroup(p);
  std::string nearest = "outside of every operand";
  uint64_t least = 1 << 20;
  for (uint32_t i = 0; i < EMU_MAX_BUFFERS; ++i) {
    const auto* begin = static_cast<const unsigned char*>(given->buffers[i].data);
    const auto* end = begin + given->buffers[i].bytes;
    if (!begin) continue;
    const std::string who = "buffer " + std::to_string(i) + " '" + buffer_name(i) + "'";
    if (p >= begin && p < end) return "byte " + std::to_string(p - begin) + " of " + who;
    const uint64_t distance = uint64_t(p >= end ? p - end : begin - p);
    if (distance >= least) continue;
    least = distance;
    nearest = std::to_string(distance) + (p >= end ? " bytes past the end of " : " bytes before ") + who +
              ", which has " + std::to_string(given->buffers[i].bytes);
  }
  return nearest;
}

/// What is kept of a place in the kernel: an offset into the module's code, or a line.
constexpr uint32_t kIsLine = 0x80000000u;
uint32_t place_of(const void* code, msl::Site site) {
  return code ? code_offset(code) & ~kIsLine : kIsLine | site.line;
}
std::string place_text(uint32_t place) {
  if (place & kIsLine) return "line " + std::to_string(place & ~kIsLine);
  const std::string at = line_of_offset(place);
  return at.empty() ? "an unknown line" : "line " + at.substr(at.rfind(':') + 1);
}

[[noreturn]] void report(const std::string& text, const void* code, msl::Site site) {
  if (!site.file && code) {
    const std::string at = line_of_offset(code_offset(code));
    fail(at.empty() ? text : at + ": " + text, {});
  }
  fail(text, site);
  __builtin_unreachable();
}

/// Whether `touch` is before what the current thread does now, `space` being device (0) or threadgroup (1) memory.
bool ordered(const Touch& touch, const Thread& thread, int space) {
  if (touch.who == Who::nobody) return true;
  if (touch.who == Who::many_groups) return false;
  if (touch.group != group_number) return space == 1;  // another group's threadgroup memory was another memory
  if (touch.barriers != uint16_t(thread.barriers[space])) return true;
  if (touch.who == Who::group) return false;
  if (touch.who == Who::thread && touch.index == thread.index) return true;
  return touch.index / msl::kSimdWidth == thread.simd && touch.simd_barriers != uint16_t(thread.simd_barriers[space]);
}

void remember(Touch& touch, const Thread& thread, int space, uint32_t place) {
  Who who = Who::thread;
  if (touch.who == Who::many_groups) {
    who = Who::many_groups;
  } else if (touch.who != Who::nobody && touch.group != group_number) {
    if (space == 0) who = Who::many_groups;
  } else if (touch.who != Who::nobody && touch.barriers == uint16_t(thread.barriers[space])) {
    const bool same_simd = touch.index / msl::kSimdWidth == thread.simd;
    if (touch.who == Who::group || !same_simd)
      who = Who::group;
    else if (touch.index != thread.index || touch.who == Who::simdgroup)
      who = touch.simd_barriers == uint16_t(thread.simd_barriers[space]) ? Who::simdgroup : Who::thread;
  }
  touch = {group_number,
           place,
           uint16_t(thread.index),
           uint16_t(thread.barriers[space]),
           uint16_t(thread.simd_barriers[space]),
           who};
}

[[noreturn]] void report_race(const Cell& cell, const Touch& other, const unsigned char* p, uint64_t bytes,
                              msl::Access access, const void* code, msl::Site site) {
  std::string text = "race: " + thread_text(current->index) + (access == msl::kLoad ? " reads " : " writes ") +
                     std::to_string(bytes) + " bytes, " + describe(p) + ", which ";
  text += other.who == Who::thread && other.group == group_number ? thread_text(other.index) : "other threads";
  if (other.group != group_number || other.who == Who::many_groups) text += " of another group";
  text += (&other == &cell.write ? " wrote at " : " read at ") + place_text(other.place) + " with no barrier between";
  report(text, code, site);
}

void touch_cells(Region& region, const unsigned char* p, uint64_t bytes, msl::Access access, int space,
                 const void* code, msl::Site site) {
  const uint64_t offset = uint64_t(p - region.begin);
  if (access == msl::kAtomic || (offset | bytes) % region.granule) return;
  const Thread& thread = *current;
  const uint32_t place = place_of(code, site);
  for (uint64_t i = offset / region.granule; i < (offset + bytes) / region.granule; ++i) {
    Cell& cell = region.cells[i];
    if (!ordered(cell.write, thread, space)) report_race(cell, cell.write, p, bytes, access, code, site);
    if (access == msl::kLoad) {
      if (space == 0 && cell.read.who == Who::nobody && !region.constant)
        launch.counters.device_read_unique += region.granule;
      remember(cell.read, thread, space, place);
    } else {
      if (!ordered(cell.read, thread, space)) report_race(cell, cell.read, p, bytes, access, code, site);
      if (space == 0 && cell.write.who == Who::nobody) launch.counters.device_written_unique += region.granule;
      remember(cell.write, thread, space, place);
    }
  }
}

Region* region_of(const unsigned char* p) {
  static size_t last;
  if (last < regions.size() && p >= regions[last].begin && p < regions[last].end) return &regions[last];
  for (last = 0; last < regions.size(); ++last)
    if (p >= regions[last].begin && p < regions[last].end) return &regions[last];
  return nullptr;
}

/// The granule for accesses through a pointer to elements of `bytes`: threads may own neighbours of that size.
uint64_t granule_of(uint64_t bytes) { return bytes % 4 == 0 && bytes ? 4 : bytes == 2 ? 2 : 1; }

}  // namespace

void begin_check(const emu_launch& launch_given, const msl::KernelInfo& launch_kernel) {
  given = &launch_given;
  kernel = &launch_kernel;
  for (uint32_t i = 0; i < kernel->binding_count; ++i) {
    const msl::BindingInfo& binding = kernel->bindings[i];
    if (binding.kind != msl::Bind::buffer || (binding.enabled && !*binding.enabled)) continue;
    const emu_buffer& buffer = given->buffers[binding.index];
    const auto* begin = static_cast<const unsigned char*>(buffer.data);
    regions.push_back({begin, begin + buffer.bytes, nullptr, granule_of(binding.bytes), binding.constant});
  }
  std::sort(regions.begin(), regions.end(), [](const Region& a, const Region& b) { return a.begin < b.begin; });
  std::vector<Region> merged;
  for (const Region& region : regions) {
    if (merged.empty() || region.begin >= merged.back().end) {
      merged.push_back(region);
      continue;
    }
    merged.back().end = std::max(merged.back().end, region.end);
    merged.back().granule = std::min(merged.back().granule, region.granule);
    merged.back().constant = merged.back().constant && region.constant;
  }
  regions = merged;
  for (Region& region : regions) map_cells(region);
  first_group = ++group_number;
}

void begin_check_group() {
  ++group_number;
  if (arena.cells) return;
  arena.granule = 1;
  threadgroup_range(&arena.begin, &arena.end);
  map_cells(arena);
}

void end_check() {
  for (Region& region : regions) munmap(region.cells, mapped_bytes(region));
  regions.clear();
  given = nullptr;
}

void check_access(const void* data, uint64_t bytes, msl::Access access, msl::Site site, const void* code) {
  const auto* p = static_cast<const unsigned char*>(data);
  emu_counters& counters = launch.counters;
  if (access == msl::kAtomic) ++counters.atomics;
  if (!given || !current) return;
  if (in_threadgroup_memory(p)) {
    if (!inside_threadgroup_block(p, bytes))
      report(std::string("out of bounds: ") + (access == msl::kLoad ? "reads " : "writes ") + std::to_string(bytes) +
                 " bytes " + describe(p),
             code, site);
    (access == msl::kLoad ? counters.threadgroup_read : counters.threadgroup_written) += bytes;
    return touch_cells(arena, p, bytes, access, 1, code, site);
  }
  if (in_stacks(p)) return;
  if (Region* region = region_of(p); region && p + bytes <= region->end) {
    if (access == msl::kStore)
      counters.device_written += bytes;
    else
      (region->constant ? counters.constant_read : counters.device_read) += bytes;
    return touch_cells(*region, p, bytes, access, 0, code, site);
  }
  if (in_own_memory(p) || in_module(p)) return;
  report(std::string("out of bounds: ") + (access == msl::kLoad ? "reads " : "writes ") + std::to_string(bytes) +
             " bytes " + describe(p),
         code, site);
}

}  // namespace emu
