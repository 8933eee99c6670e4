// csrc/backend/cpu/random.cpp -- RandomBits by Threefry2x32 and Arange: arrays made of nothing
#include <bit>
#include <cstring>

#include "backend/cpu/run.h"
#include "backend/cpu/strided.h"
#include "base/thread_pool.h"
#include "base/visit_dtype.h"

namespace nhwc::cpu {
namespace {

/// Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011): 20 rounds, as JAX and MLX use it.
struct Threefry {
  uint32_t key[3];
  Threefry(uint32_t k0, uint32_t k1) : key{k0, k1, 0x1bd11bdau ^ k0 ^ k1} {}
  void operator()(uint32_t& a, uint32_t& b) const {
    constexpr int rotations[2][4] = {{13, 15, 26, 6}, {17, 29, 16, 24}};
    a += key[0];
    b += key[1];
    for (uint32_t i = 0; i < 5; ++i) {
      for (int r : rotations[i % 2]) {
        a += b;
        b = std::rotl(b, r) ^ a;
      }
      a += key[(i + 1) % 3];
      b += key[(i + 2) % 3] + i + 1;
    }
  }
};

/// Word j and word j + half (+ 1 where the count is odd) come from the counter pair of those numbers; the middle word
/// of an odd count from (half, 0). The words of a key are cut to the bytes it needs.
struct KeyStream {
  Threefry hash;
  char* out;
  int64_t bytes, words, half, odd;

  KeyStream(uint32_t k0, uint32_t k1, char* to, int64_t n)
      : hash(k0, k1), out(to), bytes(n), words((n + 3) / 4), half(words / 2), odd(words % 2) {}
  void put(int64_t word, uint32_t v) const {
    std::memcpy(out + 4 * word, &v, static_cast<size_t>(std::min<int64_t>(4, bytes - 4 * word)));
  }
  void pairs(int64_t begin, int64_t end) const {
    constexpr int64_t block = 64;  // in arrays, so that the compiler hashes several counters at a time
    for (int64_t at = begin; at < end; at += block) {
      uint32_t a[block], b[block];
      for (uint32_t i = 0; i < block; ++i) {
        a[i] = static_cast<uint32_t>(at) + i;
        b[i] = static_cast<uint32_t>(at + half + odd) + i;
        hash(a[i], b[i]);
      }
      const int64_t m = std::min(block, end - at), second = at + half + odd;
      std::memcpy(out + 4 * at, a, static_cast<size_t>(4 * m));
      std::memcpy(out + 4 * second, b, static_cast<size_t>(std::min(4 * m, bytes - 4 * second)));
    }
  }
  void middle() const {
    auto a = static_cast<uint32_t>(half), b = 0u;
    hash(a, b);
    put(half, a);
  }
};

}  // namespace

void run(const RandomBits& p, Node& n, bool) {
  const Node& keys = *n.inputs[0].node();
  allocate_output(n);
  const int64_t count = size_of(keys.shape) / 2, total = size_of(n.shape);
  if (total == 0) return;
  const RowMajor in(keys);
  auto k = reinterpret_cast<const uint32_t*>(in.data());
  const int64_t bytes = total / count * p.width;
  const auto stream = [&](int64_t i) { return KeyStream(k[2 * i], k[2 * i + 1], n.data() + i * bytes, bytes); };
  if (count == 1) {
    const KeyStream s = stream(0);
    parallel_for(s.half, 4096, [&](int64_t b, int64_t e) { s.pairs(b, e); });
    if (s.odd) s.middle();
    return;
  }
  parallel_for(count, std::max<int64_t>(1, 32768 / bytes), [&](int64_t b, int64_t e) {
    for (int64_t i = b; i < e; ++i) {
      const KeyStream s = stream(i);
      s.pairs(0, s.half);
      if (s.odd) s.middle();
    }
  });
}

void run(const Arange& p, Node& n, bool) {
  allocate_output(n);
  visit_dtype(n.dtype, [&]<class T>(T*) {
    auto y = reinterpret_cast<T*>(n.data());
    parallel_for(size_of(n.shape), 32768, [&](int64_t b, int64_t e) {
      for (int64_t i = b; i < e; ++i) {
        if constexpr (std::is_integral_v<T>)
          y[i] = convert<T>(static_cast<int64_t>(uint64_t(p.istart) + uint64_t(i) * uint64_t(p.istep)));
        else
          y[i] = convert<T>(p.start + static_cast<double>(i) * p.step);
      }
    });
  });
}

}  // namespace nhwc::cpu
