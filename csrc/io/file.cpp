// csrc/io/file.cpp -- whole files
#include <cerrno>
#include <cstdio>
#include <fstream>

#include "io/bytes.h"

namespace nhwc {

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) raise<ValueError>("[load] cannot open ", path, ": ", std::strerror(errno));
  std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  if (in.bad()) raise<ValueError>("[load] cannot read ", path, ": ", std::strerror(errno));
  return bytes;
}

void write_file(const std::string& path, std::string_view bytes) {
  // Beside the target, so that the rename stays on one file system: a full disk leaves the old file as it was.
  const std::string partial = path + ".partial";
  std::ofstream out(partial, std::ios::binary | std::ios::trunc);
  if (!out) raise<ValueError>("[save] cannot write ", path, ": ", std::strerror(errno));
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  if (!out || std::rename(partial.c_str(), path.c_str()) != 0) {
    const std::string why = std::strerror(errno);
    std::remove(partial.c_str());
    raise<ValueError>("[save] cannot write ", path, ": ", why);
  }
}

}  // namespace nhwc
