// csrc/io/bytes.h -- reading bytes that may be anything: every length is checked before it is used
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "nhwc/array.h"
#include "nhwc/error.h"

namespace nhwc {

/// A position in bytes from a file. What does not fit raises ValueError with the place.
class ByteReader {
 public:
  ByteReader(std::string_view bytes, std::string where) : bytes_(bytes), where_(std::move(where)) {}

  size_t position() const { return at_; }
  size_t remaining() const { return bytes_.size() - at_; }
  void seek(uint64_t to, const char* what) {
    if (to > bytes_.size()) fail(what, " lies at byte ", to, " of a file of ", bytes_.size());
    at_ = static_cast<size_t>(to);
  }
  std::string_view take(uint64_t n, const char* what) {
    if (n > remaining()) fail(what, " needs ", n, " bytes, ", remaining(), " are left");
    at_ += static_cast<size_t>(n);
    return bytes_.substr(at_ - static_cast<size_t>(n), static_cast<size_t>(n));
  }
  /// An unsigned integer of sizeof(T) bytes, least significant first.
  template <class T>
  T little(const char* what) {
    const std::string_view b = take(sizeof(T), what);
    T v = 0;
    for (size_t i = 0; i < sizeof(T); ++i) v |= static_cast<T>(static_cast<uint8_t>(b[i])) << (8 * i);
    return v;
  }
  template <class... A>
  [[noreturn]] void fail(const A&... parts) const {
    raise<ValueError>("[load] ", where_, ", byte ", at_, ": ", parts...);
  }
  const std::string& where() const { return where_; }

 private:
  std::string_view bytes_;
  std::string where_;
  size_t at_ = 0;
};

/// Bytes of an array that a file describes; fails where they, or the strides of an empty one, do not fit 63 bits.
uint64_t array_bytes(const ByteReader& file, const Shape& shape, Dtype dtype);
/// The array in the file's bytes, least significant first; what is not 0 is true in a bool array.
Array array_from(std::string_view bytes, const Shape& shape, Dtype dtype);
/// The array as a file takes it, made on the CPU: the GPU has no float64.
Array row_major(const Array& a);

template <class T>
void append_little(std::string& out, T v) {
  for (size_t i = 0; i < sizeof(T); ++i) out += static_cast<char>(static_cast<uint64_t>(v) >> (8 * i));
}

/// The whole file; ValueError where it cannot be read. Writing replaces a file only once all bytes are there.
std::string read_file(const std::string& path);
void write_file(const std::string& path, std::string_view bytes);

}  // namespace nhwc
