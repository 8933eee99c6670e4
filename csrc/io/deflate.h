// csrc/io/deflate.h -- the compression of zip files (RFC 1951) and their checksum
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace nhwc {

uint32_t crc32(std::string_view bytes);
/// Fixed Huffman codes over matches found by a hash of three bytes: quick, and good enough for weights.
std::string deflate(std::string_view bytes);
/// ValueError naming `where` for anything but a stream that gives exactly `expected` bytes.
std::string inflate(std::string_view bytes, uint64_t expected, const std::string& where);

}  // namespace nhwc
