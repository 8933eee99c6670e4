// csrc/io/file.cpp -- whole files
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>

#include <unistd.h>

#include "io/bytes.h"

namespace nhwc {
namespace {

struct Close {
  void operator()(std::FILE* f) const { std::fclose(f); }
};
using File = std::unique_ptr<std::FILE, Close>;

void require_path(const std::string& path, const char* who) {
  if (path.find('\0') != path.npos) raise<ValueError>("[", who, "] the file's name holds a zero byte");
}

[[noreturn]] void fail(const char* what, const std::string& path, int error) {
  raise<ValueError>(what, path, ": ", std::strerror(error));
}

// All bytes on disk, or false with errno.
bool write_all(const std::string& path, std::string_view bytes) {
  std::FILE* f = std::fopen(path.c_str(), "wb");
  if (!f) return false;
  const bool written = std::fwrite(bytes.data(), 1, bytes.size(), f) == bytes.size();
  const int error = errno;
  const bool closed = std::fclose(f) == 0;
  if (!written) errno = error;
  return written && closed;
}

}  // namespace

std::string read_file(const std::string& path) {
  require_path(path, "load");
  File f(std::fopen(path.c_str(), "rb"));
  if (!f) fail("[load] cannot open ", path, errno);
  std::error_code none;
  const auto size = std::filesystem::file_size(path, none);           // only a guess: a pipe has none, a file may grow
  std::string bytes(none ? 0 : static_cast<size_t>(size) + 1, '\0');  // one more: the end shows without growing
  size_t have = 0;
  for (;;) {
    if (have == bytes.size()) bytes.resize(have + (size_t(1) << 16));
    const size_t n = std::fread(bytes.data() + have, 1, bytes.size() - have, f.get());
    have += n;
    if (n == 0) break;
  }
  if (std::ferror(f.get())) fail("[load] cannot read ", path, errno);
  bytes.resize(have);
  return bytes;
}

void write_file(const std::string& path, std::string_view bytes) {
  require_path(path, "save");
  namespace fs = std::filesystem;
  std::error_code none;
  const fs::file_status status = fs::status(path, none);
  if (fs::exists(status) && !fs::is_regular_file(status)) {  // a pipe, a device; a directory fails
    if (!write_all(path, bytes)) fail("[save] cannot write ", path, errno);
    return;
  }
  // Beside the file that a link leads to, so that the rename stays on one file system: a full disk leaves the old file
  // as it was. The number keeps two writers apart, the permissions stay.
  static std::atomic<unsigned> count{0};
  const fs::path resolved = fs::weakly_canonical(path, none);
  const std::string target = none ? path : resolved.string();
  const std::string partial = target + "." + std::to_string(getpid()) + "." + std::to_string(count++) + ".partial";
  if (write_all(partial, bytes)) {
    if (fs::exists(status)) fs::permissions(partial, status.permissions(), none);
    if (std::rename(partial.c_str(), target.c_str()) == 0) return;
  }
  const int error = errno;
  std::remove(partial.c_str());
  fail("[save] cannot write ", path, error);
}

}  // namespace nhwc
