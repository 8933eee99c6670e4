// python/src/bind_tune.cpp -- measuring convolutions: what nhwc/_tune.py builds on
#include <nanobind/stl/string.h>
#include "backend/cpu/conv_tune.h"

#include "bind.h"

namespace nhwc::py {
namespace {

nb::list to_list(const std::vector<TuningEntry>& entries) {
  nb::list out;
  for (const TuningEntry& e : entries) {
    out.append(nb::make_tuple(describe(e.key), name(e.tuned.algorithm), e.tuned.us, name(e.preferred), e.preferred_us));
  }
  return out;
}

}  // namespace

void bind_tune(nb::module_& m) {
  m.def("_begin_tuning",
        [](int repeats, bool progress, bool again) { return cpu::begin_tuning({repeats, progress}, again); });
  m.def("_end_tuning", [](size_t begun) { return to_list(cpu::end_tuning(begun)); });
  m.def("_tuning_text", &cpu::tuning_text);
  m.def("_load_tuning", [](const std::string& path) {
    const ParsedTuning p = cpu::load_tuning(path);
    return nb::make_tuple(static_cast<int>(p.status), p.problem);
  });
}

}  // namespace nhwc::py
