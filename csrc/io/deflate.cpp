// csrc/io/deflate.cpp -- the compression of zip files (RFC 1951) and their checksum
#include "io/deflate.h"

#include <algorithm>
#include <array>
#include <vector>

#include "nhwc/error.h"

namespace nhwc {
namespace {

constexpr int kMaxBits = 15;
constexpr uint16_t kLengthBase[29] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                      31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
constexpr uint8_t kLengthExtra[29] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
                                      2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
constexpr uint16_t kDistanceBase[30] = {1,    2,    3,    4,    5,    7,    9,    13,    17,    25,
                                        33,   49,   65,   97,   129,  193,  257,  385,   513,   769,
                                        1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
constexpr uint8_t kDistanceExtra[30] = {0, 0, 0, 0, 1, 1, 2, 2,  3,  3,  4,  4,  5,  5,  6,
                                        6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13};

/// Canonical Huffman codes. Those of up to kFast bits are looked up, longer ones decoded bit by bit from the counts.
class Huffman {
 public:
  static constexpr int kFast = 10;
  struct Symbol {
    uint16_t value = 0;
    uint16_t bits = 0;  // 0: none
  };

  /// False where the lengths claim more codes than there are.
  bool build(const uint8_t* lengths, int n) {
    count_.fill(0);
    for (int i = 0; i < n; ++i) ++count_[lengths[i]];
    count_[0] = 0;
    int left = 1;
    for (int b = 1; b <= kMaxBits; ++b)
      if ((left = left * 2 - count_[b]) < 0) return false;
    std::array<uint16_t, kMaxBits + 2> offset{}, code{};
    for (int b = 1; b <= kMaxBits; ++b) {
      offset[b + 1] = offset[b] + count_[b];
      code[b + 1] = static_cast<uint16_t>((code[b] + count_[b]) << 1);
    }
    symbols_.assign(offset[kMaxBits + 1], 0);
    fast_.fill({});
    for (int i = 0; i < n; ++i) {
      const int b = lengths[i];
      if (b == 0) continue;
      symbols_[offset[b]++] = static_cast<uint16_t>(i);
      const uint32_t first = reversed(code[b]++, b);
      for (uint32_t at = first; b <= kFast && at < fast_.size(); at += 1u << b)
        fast_[at] = {static_cast<uint16_t>(i), static_cast<uint16_t>(b)};
    }
    return true;
  }

  /// The symbol that the bits begin with, least significant first.
  Symbol decode(uint64_t bits) const {
    const Symbol s = fast_[bits & (fast_.size() - 1)];
    return s.bits ? s : decode_slowly(bits);
  }

  /// The lowest `n` bits of `v`, the other way round.
  static uint32_t reversed(uint32_t v, int n) {
    uint32_t r = 0;
    for (int i = 0; i < n; ++i) r |= ((v >> i) & 1u) << (n - 1 - i);
    return r;
  }

 private:
  Symbol decode_slowly(uint64_t bits) const {
    int code = 0, first = 0, index = 0;
    for (int b = 1; b <= kMaxBits; ++b, bits >>= 1) {
      code |= static_cast<int>(bits & 1);
      const int n = count_[b];
      if (code - n < first) return {symbols_[index + (code - first)], static_cast<uint16_t>(b)};
      index += n;
      first = (first + n) << 1;
      code <<= 1;
    }
    return {};
  }

  std::array<uint16_t, kMaxBits + 1> count_{};
  std::array<Symbol, 1 << kFast> fast_{};
  std::vector<uint16_t> symbols_;
};

class Inflater {
 public:
  Inflater(std::string_view in, uint64_t expected, const std::string& where)
      : in_(in), expected_(expected), where_(where) {}

  std::string run() {
    bool last;
    do {
      last = bits(1);
      switch (bits(2)) {
        case 0:
          stored();
          break;
        case 1:
          fixed();
          break;
        case 2:
          dynamic();
          break;
        default:
          fail("has an unknown block type");
      }
    } while (!last);
    if (at_ - static_cast<size_t>(held_ / 8) != in_.size()) fail("has something behind its end");
    if (out_.size() != expected_) fail("gives another number of bytes than the directory says");
    return std::move(out_);
  }

 private:
  [[noreturn]] void fail(const char* what) const {
    raise<ValueError>("[load] ", where_, ": the compressed data ", what);
  }

  void fill() {
    for (; held_ <= 56 && at_ < in_.size(); held_ += 8)
      buffer_ |= static_cast<uint64_t>(static_cast<uint8_t>(in_[at_++])) << held_;
  }
  void drop(int n) {
    buffer_ >>= n;
    held_ -= n;
  }
  uint32_t bits(int n) {
    if (held_ < n) fill();
    if (held_ < n) fail("ends too early");
    const auto v = static_cast<uint32_t>(buffer_ & ((uint64_t(1) << n) - 1));
    drop(n);
    return v;
  }

  void put(char c) {
    if (out_.size() >= expected_) fail("gives more bytes than the directory says");
    out_ += c;
  }

  int symbol(const Huffman& h) {
    if (held_ < kMaxBits) fill();
    const Huffman::Symbol s = h.decode(buffer_);
    if (s.bits == 0) fail("holds a code that does not exist");
    if (s.bits > held_) fail("ends too early");
    drop(s.bits);
    return s.value;
  }

  void stored() {
    at_ -= static_cast<size_t>(held_ / 8);  // whole bytes that were fetched ahead
    buffer_ = 0;
    held_ = 0;
    if (in_.size() - at_ < 4) fail("ends too early");
    const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(in_[at_ + i])); };
    const uint32_t n = byte(0) | byte(1) << 8, check = byte(2) | byte(3) << 8;
    at_ += 4;
    if ((n ^ 0xffff) != check) fail("has a stored block of unclear length");
    if (in_.size() - at_ < n) fail("ends too early");
    if (expected_ - out_.size() < n) fail("gives more bytes than the directory says");
    out_.append(in_.substr(at_, n));
    at_ += n;
  }

  void fixed() {
    static const auto& tables = *new std::pair<Huffman, Huffman>([] {
      uint8_t lengths[288], distances[30];
      for (int i = 0; i < 288; ++i) lengths[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
      std::fill(distances, distances + 30, uint8_t(5));
      std::pair<Huffman, Huffman> t;
      t.first.build(lengths, 288);
      t.second.build(distances, 30);
      return t;
    }());
    block(tables.first, tables.second);
  }

  void dynamic() {
    static constexpr uint8_t order[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    const int n_lengths = static_cast<int>(bits(5)) + 257, n_distances = static_cast<int>(bits(5)) + 1,
              n_codes = static_cast<int>(bits(4)) + 4;
    if (n_lengths > 286 || n_distances > 30) fail("has too many codes");
    uint8_t lengths[320] = {};
    for (int i = 0; i < n_codes; ++i) lengths[order[i]] = static_cast<uint8_t>(bits(3));
    Huffman codes;
    if (!codes.build(lengths, 19)) fail("has contradictory code lengths");
    std::fill(std::begin(lengths), std::end(lengths), uint8_t(0));
    for (int i = 0; i < n_lengths + n_distances;) {
      const int s = symbol(codes);
      if (s < 16) {
        lengths[i++] = static_cast<uint8_t>(s);
        continue;
      }
      if (s == 16 && i == 0) fail("repeats a length before there is one");
      const uint8_t value = s == 16 ? lengths[i - 1] : 0;
      int times = s == 16   ? 3 + static_cast<int>(bits(2))
                  : s == 17 ? 3 + static_cast<int>(bits(3))
                            : 11 + static_cast<int>(bits(7));
      if (i + times > n_lengths + n_distances) fail("has too many code lengths");
      while (times--) lengths[i++] = value;
    }
    Huffman literals, distances;
    if (!literals.build(lengths, n_lengths) || !distances.build(lengths + n_lengths, n_distances))
      fail("has contradictory code lengths");
    block(literals, distances);
  }

  void block(const Huffman& literals, const Huffman& distances) {
    for (;;) {
      const int s = symbol(literals);
      if (s == 256) return;
      if (s < 256) {
        put(static_cast<char>(s));
        continue;
      }
      if (s > 285) fail("holds a length that does not exist");
      const size_t n = kLengthBase[s - 257] + bits(kLengthExtra[s - 257]);
      const int d = symbol(distances);
      if (d > 29) fail("holds a distance that does not exist");
      const size_t back = kDistanceBase[d] + bits(kDistanceExtra[d]);
      if (back > out_.size()) fail("refers to bytes before its beginning");
      if (expected_ - out_.size() < n) fail("gives more bytes than the directory says");
      for (size_t i = 0; i < n; ++i) out_ += out_[out_.size() - back];
    }
  }

  std::string_view in_;
  uint64_t expected_;
  const std::string& where_;
  std::string out_;
  size_t at_ = 0;
  uint64_t buffer_ = 0;  // bits not used yet, the next one lowest
  int held_ = 0;
};

class Deflater {
 public:
  std::string run(std::string_view in) {
    put(1, 1);  // the last block
    put(1, 2);  // fixed codes
    std::vector<int64_t> head(kHashSize, -1);
    for (size_t i = 0; i < in.size();) {
      size_t length = 0, back = 0;
      if (i + 3 <= in.size()) {
        int64_t& slot = head[hash(in, i)];
        if (slot >= 0 && i - static_cast<size_t>(slot) <= 32768) {
          const size_t from = static_cast<size_t>(slot), most = std::min<size_t>(258, in.size() - i);
          while (length < most && in[from + length] == in[i + length]) ++length;
          back = i - from;
        }
        slot = static_cast<int64_t>(i);
      }
      if (length < 3) {
        literal(static_cast<uint8_t>(in[i++]));
      } else {
        match(length, back);
        i += length;
      }
    }
    code(256);
    if (held_ > 0) out_ += static_cast<char>(buffer_);
    return std::move(out_);
  }

 private:
  static constexpr size_t kHashSize = 1 << 15;
  static size_t hash(std::string_view in, size_t i) {
    const auto b = [&](size_t k) { return static_cast<uint32_t>(static_cast<uint8_t>(in[i + k])); };
    return ((b(0) | b(1) << 8 | b(2) << 16) * 2654435761u) >> 17;
  }
  void put(uint32_t v, int n) {
    buffer_ |= static_cast<uint64_t>(v) << held_;
    held_ += n;
    for (; held_ >= 8; held_ -= 8, buffer_ >>= 8) out_ += static_cast<char>(buffer_);
  }
  // Huffman codes go most significant bit first.
  void put_reversed(uint32_t v, int n) { put(Huffman::reversed(v, n), n); }
  void code(int s) {
    if (s < 144)
      put_reversed(0x30 + s, 8);
    else if (s < 256)
      put_reversed(0x190 + s - 144, 9);
    else if (s < 280)
      put_reversed(s - 256, 7);
    else
      put_reversed(0xc0 + s - 280, 8);
  }
  void literal(uint8_t c) { code(c); }
  void match(size_t length, size_t back) {
    const int l =
        static_cast<int>(std::upper_bound(std::begin(kLengthBase), std::end(kLengthBase), length) - kLengthBase) - 1;
    code(257 + l);
    put(static_cast<uint32_t>(length - kLengthBase[l]), kLengthExtra[l]);
    const int d =
        static_cast<int>(std::upper_bound(std::begin(kDistanceBase), std::end(kDistanceBase), back) - kDistanceBase) -
        1;
    put_reversed(static_cast<uint32_t>(d), 5);
    put(static_cast<uint32_t>(back - kDistanceBase[d]), kDistanceExtra[d]);
  }

  std::string out_;
  uint64_t buffer_ = 0;
  int held_ = 0;
};

}  // namespace

uint32_t crc32(std::string_view bytes) {
  static const std::array<uint32_t, 256> table = [] {
    std::array<uint32_t, 256> t{};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t c = i;
      for (int k = 0; k < 8; ++k) c = c & 1 ? 0xedb88320u ^ (c >> 1) : c >> 1;
      t[i] = c;
    }
    return t;
  }();
  uint32_t c = ~0u;
  for (char b : bytes) c = table[(c ^ static_cast<uint8_t>(b)) & 0xff] ^ (c >> 8);
  return ~c;
}

std::string deflate(std::string_view bytes) { return Deflater().run(bytes); }
std::string inflate(std::string_view bytes, uint64_t expected, const std::string& where) {
  return Inflater(bytes, expected, where).run();
}

}  // namespace nhwc
