// tests/apple/standin/debug/faults.cpp -- parses and counts the failures that a test asks for
#include "standin/debug/faults.h"

#include <cstdlib>
#include <map>
#include <mutex>
#include <sstream>

#include "standin/hooks.h"

namespace standin {
namespace {

struct Fault {
  uint64_t number = 1;
  std::string word;
};

struct Faults {
  std::mutex mutex;
  std::map<std::string, Fault> set;

  void add(const std::string& specification) {
    std::istringstream items(specification);
    for (std::string item; std::getline(items, item, ',');) {
      const size_t equals = item.find('=');
      Fault fault;
      if (equals != std::string::npos) {
        const std::string value = item.substr(equals + 1);
        fault.number = std::strtoull(value.c_str(), nullptr, 10);
        const size_t colon = value.find(':');
        if (colon != std::string::npos) fault.word = value.substr(colon + 1);
      }
      set[item.substr(0, equals)] = fault;
    }
  }
};

Faults& faults() {
  static Faults* const all = [] {
    auto* made = new Faults;
    if (const char* from_start = std::getenv("NHWC_STANDIN_FAULTS")) made->add(from_start);
    return made;
  }();
  return *all;
}

}  // namespace

bool fault_value(const char* name, uint64_t* value) {
  Faults& all = faults();
  std::lock_guard lock(all.mutex);
  const auto it = all.set.find(name);
  if (it == all.set.end()) return false;
  if (value) *value = it->second.number;
  return true;
}

bool fault_hits(const char* name, std::string* what) {
  Faults& all = faults();
  std::lock_guard lock(all.mutex);
  const auto it = all.set.find(name);
  if (it == all.set.end() || --it->second.number > 0) return false;
  if (what) *what = it->second.word;
  all.set.erase(it);
  return true;
}

}  // namespace standin

void nhwc_standin_fault(const char* faults) {
  standin::Faults& all = standin::faults();
  std::lock_guard lock(all.mutex);
  all.add(faults);
}

void nhwc_standin_clear_faults() {
  standin::Faults& all = standin::faults();
  std::lock_guard lock(all.mutex);
  all.set.clear();
}
