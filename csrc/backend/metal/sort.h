// csrc/backend/metal/sort.h -- sorting places, for scatters
#pragma once

#include <cstddef>
#include <cstdint>

namespace nhwc::metal {

/// Keys in ascending order, and which they were.
struct SortedKeys {
  const uint64_t* keys;
  const uint32_t* order;
};

/// Keys and the places in their row where they came from, of runs that are sorted.
struct Runs {
  void* keys = nullptr;
  uint32_t* places = nullptr;
};

/// Sorts keys, at most `most` at a time, in scratch memory of the step, where results are good until the next ones.
class KeySorter {
 public:
  static constexpr size_t kBytes = 2 * (sizeof(uint64_t) + sizeof(uint32_t));  // of scratch for a key
  explicit KeySorter(int64_t most);
  SortedKeys sort(const int64_t* keys, int64_t count) const;

 private:
  Runs turns_[2];
};

}  // namespace nhwc::metal
