// tests/apple/standin/debug/report.cpp -- the list of what a program did wrong, for tests to read
#include "standin/debug/report.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <vector>

#include "standin/hooks.h"
#include "standin/objc/object.h"

namespace standin {
namespace {

struct Reports {
  std::mutex mutex;
  std::vector<std::string> list;
  bool abort = true;
};

// Never destroyed: threads and destructors of other static objects may still report.
Reports& reports() {
  static Reports* const all = [] {
    auto* made = new Reports;
    const char* mode = std::getenv("NHWC_STANDIN_ON_ERROR");
    made->abort = !mode || std::strcmp(mode, "record") != 0;
    return made;
  }();
  return *all;
}

void copy_out(const std::string& from, char* text, size_t bytes) {
  if (!bytes) return;
  const size_t n = std::min(bytes - 1, from.size());
  std::memcpy(text, from.data(), n);
  text[n] = 0;
}

}  // namespace

void report(const char* kind, const std::string& text) {
  Reports& all = reports();
  std::lock_guard lock(all.mutex);
  all.list.push_back(std::string(kind) + ": " + text);
  std::fprintf(stderr, "stand-in Metal: %s\n", all.list.back().c_str());
  std::fflush(stderr);
  if (all.abort) std::abort();
}

std::string format(const char* pattern, ...) {
  va_list list, again;
  va_start(list, pattern);
  va_copy(again, list);
  std::string text(static_cast<size_t>(std::vsnprintf(nullptr, 0, pattern, list)), 0);
  std::vsnprintf(text.data(), text.size() + 1, pattern, again);
  va_end(again);
  va_end(list);
  return text;
}

}  // namespace standin

int nhwc_standin_errors(char* text, size_t bytes) {
  standin::Reports& all = standin::reports();
  std::lock_guard lock(all.mutex);
  std::string lines;
  for (const std::string& line : all.list) lines += line + "\n";
  standin::copy_out(lines, text, bytes);
  const int count = static_cast<int>(all.list.size());
  all.list.clear();
  return count;
}

void nhwc_standin_abort_on_error(int on) {
  standin::Reports& all = standin::reports();
  std::lock_guard lock(all.mutex);
  all.abort = on != 0;
}

int nhwc_standin_live_objects(char* text, size_t bytes) {
  std::string names;
  const int count = standin::live_objects(&names);
  standin::copy_out(names, text, bytes);
  return count;
}
