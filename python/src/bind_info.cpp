// python/src/bind_info.cpp -- what this build and this machine are, for `python -m nhwc info`
#include <thread>

#include "base/cpu_features.h"
#include "base/env.h"
#include "base/gpu_runtime.h"
#include "bind.h"
#include "convert.h"
#include "nhwc/memory.h"
#include "plan/machine.h"

namespace nhwc::py {
namespace {

nb::dict build_info() {
  nb::dict d;
#if defined(__clang__)
  d["compiler"] = "clang " __clang_version__;
#elif defined(__GNUC__)
  d["compiler"] = "gcc " __VERSION__;
#else
  d["compiler"] = "unknown";
#endif
  d["c++"] = message(__cplusplus / 100 % 100);
#ifdef NDEBUG
  d["assertions"] = "off";
#else
  d["assertions"] = "on";
#endif
  return d;
}

nb::dict cpu_dict() {
  const CpuInfo& c = cpu_info();
  nb::dict d;
  d["vendor"] = c.vendor;
  d["model"] = c.model;
  d["family"] = this_machine().name;
  nb::list features;
  for (const std::string& f : c.features) features.append(f);
  d["features"] = features;
  d["l1d"] = c.l1d;
  d["l2"] = c.l2;
  d["l3"] = c.l3;
  nb::list isas;
  for (const std::string& isa : isa_choices()) isas.append(isa);
  d["instruction_sets"] = isas;
  d["instruction_set_used"] = isa_choice();
  d["cpus"] = std::thread::hardware_concurrency();
  d["threads"] = num_threads();
  return d;
}

nb::dict memory_dict() {
  nb::dict d;
  d["active"] = get_active_memory();
  d["peak"] = get_peak_memory();
  d["cache"] = get_cache_memory();
  d["limit"] = get_memory_limit();
  d["workspace_limit"] = get_workspace_limit();
  return d;
}

nb::list environment_list() {
  nb::list l;
  for (const EnvVar& v : env_vars()) l.append(nb::make_tuple(v.name, env(v.name), v.meaning));
  return l;
}

nb::dict info() {
  nb::dict d;
  d["build"] = build_info();
  d["cpu"] = cpu_dict();
  nb::list devices;
  devices.append(to_string(Device{DeviceType::cpu, 0}));
  if (is_available({DeviceType::gpu, 0})) devices.append(to_string(Device{DeviceType::gpu, 0}));
  d["devices"] = devices;
  d["gpu"] = gpu_runtime() ? gpu_facts().name : "none: " + gpu_missing();
  d["default_device"] = to_string(default_device());
  d["memory"] = memory_dict();
  d["environment"] = environment_list();
  return d;
}

}  // namespace

void bind_info(nb::module_& m) {
  m.attr("__version__") = NHWC_VERSION;
  m.def("_info", &info, "What `python -m nhwc info` prints, as a dict.");
}

}  // namespace nhwc::py
