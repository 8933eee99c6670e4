// python/src/bind_tune.cpp -- measuring convolutions: what nhwc/_tune.py builds on
#include "backend/cpu/conv_tune.h"
#include <nanobind/stl/string.h>

#include "bind.h"
#include "nhwc/error.h"

namespace nhwc::py {
namespace {

nb::list to_list(const std::vector<TuningEntry>& entries) {
  nb::list out;
  for (const TuningEntry& e : entries) {
    ConvPlan plan;
    plan.problem = e.key;
    plan.isa = e.isa;
    plan.machine = &this_machine();
    const std::string text = describe(plan);
    out.append(nb::make_tuple(text.substr(0, text.find('\n')), name(e.tuned.algorithm), e.tuned.us, name(e.preferred),
                              e.preferred_us));
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
  m.def("_tuning_machine", [] { return tuning_origin(cpu_facts()).machine; });
}

}  // namespace nhwc::py
