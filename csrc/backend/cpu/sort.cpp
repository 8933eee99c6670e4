// csrc/backend/cpu/sort.cpp -- Sort: values or their order along one axis; stable, NaN last
// Values become unsigned keys in their order, and a row is sorted as (key, place) pairs: two sorts serve every dtype,
// and no place is equal to another, so any sort is stable.
#include <algorithm>
#include <bit>
#include <limits>

#include "backend/cpu/run.h"
#include "backend/cpu/strided.h"
#include "base/thread_pool.h"
#include "base/visit_dtype.h"

namespace nhwc::cpu {
namespace {

template <class T>
using KeyOf = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;

/// In the order of the values; NaN is the largest, -0 equals 0.
template <class T>
KeyOf<T> key_of(T value) {
  using K = KeyOf<T>;
  constexpr K sign = K(1) << (8 * sizeof(K) - 1);
  const auto x = static_cast<Compute<T>>(value);
  if constexpr (std::is_floating_point_v<Compute<T>>) {
    if (x != x) return std::numeric_limits<K>::max();
    const K bits = std::bit_cast<K>(x == 0 ? Compute<T>(0) : x);
    return bits & sign ? ~bits : bits | sign;
  } else if constexpr (std::is_signed_v<Compute<T>>) {
    return static_cast<K>(x) ^ sign;
  } else {
    return static_cast<K>(x);
  }
}

/// A 32-bit key and its place are one integer.
struct ShortEntry {
  ShortEntry(uint32_t key, uint32_t at) : both(uint64_t(key) << 32 | at) {}
  uint32_t at() const { return static_cast<uint32_t>(both); }
  friend bool operator<(ShortEntry a, ShortEntry b) { return a.both < b.both; }
  uint64_t both;
};
struct LongEntry {
  LongEntry(uint64_t k, uint32_t i) : key(k), place(i) {}
  uint32_t at() const { return place; }
  friend bool operator<(const LongEntry& a, const LongEntry& b) {
    return a.key < b.key || (a.key == b.key && a.place < b.place);
  }
  uint64_t key;
  uint32_t place;
};
template <class T>
using EntryOf = std::conditional_t<sizeof(T) == 8, LongEntry, ShortEntry>;

/// One row: its sorted values, or their places where `order` is given.
template <class T>
void sort_row(const T* row, int64_t width, EntryOf<T>* entries, T* sorted, uint32_t* order) {
  for (int64_t i = 0; i < width; ++i) entries[i] = {key_of(row[i]), static_cast<uint32_t>(i)};
  std::sort(entries, entries + width);
  for (int64_t i = 0; i < width; ++i)
    if (order)
      order[i] = entries[i].at();
    else
      sorted[i] = row[entries[i].at()];
}

Dims moved_last(Dims d, int axis) {
  const int64_t v = d[static_cast<size_t>(axis)];
  d.erase(static_cast<size_t>(axis));
  d.push_back(v);
  return d;
}

}  // namespace

void run(const Sort& p, Node& n, bool) {
  const Node& x = *n.inputs[0].node();
  allocate_output(n);
  const int64_t total = size_of(x.shape);
  if (total == 0) return;
  const Shape shape = moved_last(x.shape, p.axis);
  const Scratch in(static_cast<size_t>(total) * size_of(x.dtype));  // rows along the axis
  copy_strided(in.as<char>(), contiguous_strides(shape), x.data(), moved_last(x.strides, p.axis), shape,
               size_of(x.dtype));
  const int64_t width = shape.back();
  const Scratch out(static_cast<size_t>(total) * size_of(n.dtype));
  visit_dtype(x.dtype, [&]<class T>(T*) {
    parallel_for(total / width, std::max<int64_t>(1, 4096 / width), [&](int64_t b, int64_t e) {
      const Scratch entries(static_cast<size_t>(width) * sizeof(EntryOf<T>));
      for (int64_t r = b; r < e; ++r) {
        const int64_t at = r * width;
        sort_row(in.as<T>() + at, width, entries.as<EntryOf<T>>(), out.as<T>() + (p.indices ? 0 : at),
                 p.indices ? out.as<uint32_t>() + at : nullptr);
      }
    });
  });
  copy_strided(n.data(), moved_last(n.strides, p.axis), out.as<char>(), contiguous_strides(shape), shape,
               size_of(n.dtype));
}

}  // namespace nhwc::cpu
