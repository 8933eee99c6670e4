// csrc/io/npz.cpp -- NumPy's format for several arrays: a zip file of npy files
#include <algorithm>

#include "io/bytes.h"
#include "io/deflate.h"
#include "nhwc/io.h"

namespace nhwc {
namespace {

constexpr uint32_t kLocal = 0x04034b50, kCentral = 0x02014b50, kEnd = 0x06054b50, kEnd64 = 0x06064b50,
                   kLocator64 = 0x07064b50;
constexpr uint32_t kIs64 = 0xffffffff;
constexpr uint16_t kStored = 0, kDeflated = 8;

struct Entry {
  std::string name;
  uint16_t method = kStored;
  uint32_t crc = 0;
  uint64_t compressed = 0, size = 0, offset = 0;
};

/// Where the zip directory lies, and how many entries it has.
struct Directory {
  uint64_t begin = 0, end = 0, count = 0;
};

// The fields that a zip file of more than 4 GiB keeps in an extra record, in this order, each only where it is needed.
void read_zip64(Entry& e, std::string_view extra, const std::string& where) {
  ByteReader in(extra, where);
  while (in.remaining() >= 4) {
    const auto id = in.little<uint16_t>("an extra field");
    ByteReader field(in.take(in.little<uint16_t>("an extra field"), "an extra field"), where);
    if (id != 1) continue;
    for (uint64_t* v : {&e.size, &e.compressed, &e.offset})
      if (*v == kIs64) *v = field.little<uint64_t>("a 64-bit size");
  }
}

Entry read_central(ByteReader& in) {
  if (in.little<uint32_t>("the zip directory") != kCentral) in.fail("the zip directory is damaged");
  Entry e;
  in.take(4, "the zip directory");
  const auto flags = in.little<uint16_t>("flags");
  e.method = in.little<uint16_t>("the method");
  in.take(4, "the date");
  e.crc = in.little<uint32_t>("the checksum");
  e.compressed = in.little<uint32_t>("the size");
  e.size = in.little<uint32_t>("the size");
  const auto name = in.little<uint16_t>("a name"), extra = in.little<uint16_t>("an extra field"),
             comment = in.little<uint16_t>("a comment");
  in.take(8, "attributes");
  e.offset = in.little<uint32_t>("the offset");
  e.name = in.take(name, "a name");
  read_zip64(e, in.take(extra, "an extra field"), in.where());
  in.take(comment, "a comment");
  if (flags & 1) in.fail("'", e.name, "' is encrypted");
  return e;
}

// The record at the end of the file: the last one whose comment ends where the file does.
size_t find_end(std::string_view bytes, ByteReader& in) {
  constexpr size_t kEndSize = 22, kCommentLength = 20;
  if (bytes.size() < kEndSize) in.fail("this is no zip file: it is too short");
  std::string mark;
  append_little(mark, kEnd);
  for (size_t comment = 0; comment <= 0xffff && comment + kEndSize <= bytes.size(); ++comment) {
    const size_t at = bytes.size() - kEndSize - comment;
    if (bytes.substr(at, 4) != mark) continue;
    in.seek(at + kCommentLength, "the zip directory");
    if (in.little<uint16_t>("the comment's length") == comment) return at;
  }
  in.seek(0, "the file");
  in.fail("this is no zip file, or has something behind its end");
}

Directory find_directory(std::string_view bytes, const std::string& where) {
  ByteReader in(bytes, where);
  const size_t at = find_end(bytes, in);
  Directory d;
  d.end = at;
  in.seek(at + 10, "the zip directory");
  d.count = in.little<uint16_t>("the number of entries");
  in.take(4, "the directory's size");
  d.begin = in.little<uint32_t>("the directory's offset");
  if ((d.begin != kIs64 && d.count != 0xffff) || at < 20) return d;
  in.seek(at - 20, "the 64-bit locator");
  if (in.little<uint32_t>("the 64-bit locator") != kLocator64) return d;
  in.take(4, "the disk");
  d.end = in.little<uint64_t>("the 64-bit directory");
  in.seek(d.end, "the 64-bit directory");
  if (in.little<uint32_t>("the 64-bit directory") != kEnd64) in.fail("the 64-bit zip directory is damaged");
  in.take(28, "the 64-bit directory");
  d.count = in.little<uint64_t>("the number of entries");
  in.take(8, "the directory's size");
  d.begin = in.little<uint64_t>("the directory's offset");
  return d;
}

// The entry's contents. `free` is where the entry before ended: entries that share bytes could grow without bound.
std::string entry_bytes(std::string_view bytes, const Entry& e, uint64_t& free, const std::string& where) {
  ByteReader in(bytes, where);
  in.seek(e.offset, "an entry");
  if (e.offset < free) in.fail("the entry '", e.name, "' lies inside another one");
  if (in.little<uint32_t>("an entry") != kLocal) in.fail("the entry '", e.name, "' is damaged");
  in.take(22, "an entry");
  const auto name = in.little<uint16_t>("a name"), extra = in.little<uint16_t>("an extra field");
  if (in.take(name, "a name") != e.name) in.fail("the entry '", e.name, "' has another name in its place");
  in.take(extra, "an extra field");
  const std::string_view data = in.take(e.compressed, "an entry's data");
  free = in.position();
  const std::string place = where + "/" + e.name;
  std::string out;
  if (e.method == kStored) {
    if (e.size != e.compressed) in.fail("the entry '", e.name, "' has two sizes");
    out = data;
  } else if (e.method == kDeflated) {
    // No stream of n bytes can give more than 1032 n: a false size is refused before memory is taken for it.
    if (e.size / 1040 > e.compressed) in.fail("the entry '", e.name, "' claims an impossible size");
    out = inflate(data, e.size, place);
  } else {
    in.fail("the entry '", e.name, "' is compressed by method ", e.method, "; expected stored or deflate");
  }
  if (crc32(out) != e.crc) in.fail("the checksum of '", e.name, "' does not fit its data");
  return out;
}

void append_local(std::string& out, const Entry& e) {
  append_little(out, kLocal);
  append_little<uint16_t>(out, 45);
  append_little<uint16_t>(out, 0x0800);  // names are UTF-8
  append_little(out, e.method);
  append_little<uint32_t>(out, 0x00210000);  // 1980-01-01: the same arrays give the same file
  append_little(out, e.crc);
  append_little(out, kIs64);
  append_little(out, kIs64);
  append_little(out, static_cast<uint16_t>(e.name.size()));
  append_little<uint16_t>(out, 20);
  out += e.name;
  append_little<uint16_t>(out, 1);
  append_little<uint16_t>(out, 16);
  append_little(out, e.size);
  append_little(out, e.compressed);
}

void append_central(std::string& out, const Entry& e) {
  append_little(out, kCentral);
  append_little<uint16_t>(out, 45);
  append_little<uint16_t>(out, 45);
  append_little<uint16_t>(out, 0x0800);
  append_little(out, e.method);
  append_little<uint32_t>(out, 0x00210000);
  append_little(out, e.crc);
  append_little(out, kIs64);
  append_little(out, kIs64);
  append_little(out, static_cast<uint16_t>(e.name.size()));
  append_little<uint16_t>(out, 28);
  append_little<uint16_t>(out, 0);
  append_little<uint64_t>(out, 0);  // disk and attributes
  append_little(out, kIs64);
  out += e.name;
  append_little<uint16_t>(out, 1);
  append_little<uint16_t>(out, 24);
  append_little(out, e.size);
  append_little(out, e.compressed);
  append_little(out, e.offset);
}

void append_end64(std::string& out, uint64_t directory, uint64_t count) {
  const uint64_t end = out.size();
  append_little(out, kEnd64);
  append_little<uint64_t>(out, 44);
  append_little<uint32_t>(out, 45 | 45 << 16);
  append_little<uint64_t>(out, 0);
  append_little(out, count);
  append_little(out, count);
  append_little(out, end - directory);
  append_little(out, directory);
  append_little(out, kLocator64);
  append_little<uint32_t>(out, 0);
  append_little(out, end);
  append_little<uint32_t>(out, 1);
}

void append_end(std::string& out, uint64_t directory, uint64_t count) {
  const uint64_t size = out.size() - directory;
  if (count >= 0xffff || out.size() >= kIs64) append_end64(out, directory, count);
  append_little(out, kEnd);
  append_little<uint32_t>(out, 0);
  append_little(out, static_cast<uint16_t>(std::min<uint64_t>(count, 0xffff)));
  append_little(out, static_cast<uint16_t>(std::min<uint64_t>(count, 0xffff)));
  append_little(out, static_cast<uint32_t>(std::min<uint64_t>(size, kIs64)));
  append_little(out, static_cast<uint32_t>(std::min<uint64_t>(directory, kIs64)));
  append_little<uint16_t>(out, 0);
}

}  // namespace

std::string npz_bytes(const NamedArrays& arrays, bool compressed) {
  std::string out, directory;
  for (const auto& [name, a] : arrays) {
    if (name.size() > 0xfff0) raise<ValueError>("[savez] a name of ", name.size(), " bytes is too long");
    const std::string data = npy_bytes(a);
    Entry e{name + ".npy", compressed ? kDeflated : kStored, crc32(data), data.size(), data.size(), out.size()};
    const std::string packed = compressed ? deflate(data) : std::string();
    if (compressed) e.compressed = packed.size();
    append_local(out, e);
    out += compressed ? packed : data;
    append_central(directory, e);
  }
  const uint64_t at = out.size();
  out += directory;
  append_end(out, at, arrays.size());
  return out;
}

NamedArrays parse_npz(std::string_view bytes, const std::string& where) {
  const Directory directory = find_directory(bytes, where);
  ByteReader in(bytes, where);
  in.seek(directory.begin, "the zip directory");
  std::vector<Entry> entries;
  for (uint64_t i = 0; i < directory.count; ++i) entries.push_back(read_central(in));
  if (in.position() != directory.end)
    in.fail("the zip directory does not end where its entries do, at ", directory.end);
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.offset < b.offset; });
  NamedArrays out;
  uint64_t free = 0;
  const std::string_view data = bytes.substr(0, directory.begin);
  for (const Entry& e : entries) {
    const bool npy = e.name.size() > 4 && e.name.ends_with(".npy");
    const std::string name = npy ? e.name.substr(0, e.name.size() - 4) : e.name;
    if (!out.emplace(name, parse_npy(entry_bytes(data, e, free, where), where + "/" + e.name)).second)
      in.fail("the name '", name, "' stands twice");
  }
  return out;
}

void save_npz(const std::string& path, const NamedArrays& arrays, bool compressed) {
  write_file(path, npz_bytes(arrays, compressed));
}
NamedArrays load_npz(const std::string& path) { return parse_npz(read_file(path), path); }

}  // namespace nhwc
