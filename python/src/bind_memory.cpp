// python/src/bind_memory.cpp -- memory counters and limits, threads, instruction set
#include "base/cpu_features.h"
#include "bind.h"
#include "convert.h"
#include "nhwc/memory.h"

namespace nhwc::py {
namespace {

size_t to_bytes(nb::handle o, const char* who) {
  const int64_t v = to_int(o, who, "limit");
  if (v < 0) raise<ValueError>("[", who, "] got ", v, "; expected 0 or more bytes");
  return static_cast<size_t>(v);
}

void bind_counters(nb::module_& m) {
#define NHWC_DEF(n, what)                       \
  m.def(#n, &n, nb::sig("def " #n "() -> int"), \
        what ".\n\nReturns:\n    int: bytes.\n\nExample:\n    >>> mx." #n "() >= 0\n    True\n");
  NHWC_DEF(get_active_memory, "The memory in arrays and scratch now")
  NHWC_DEF(get_peak_memory, "The most memory that was in use since the start or the last reset")
  NHWC_DEF(get_cache_memory, "The memory kept for reuse: freed blocks and packed weights")
  NHWC_DEF(get_memory_limit, "The memory that arrays and scratch may use")
  NHWC_DEF(get_workspace_limit, "The scratch that one operation may use")
#undef NHWC_DEF
  m.def("reset_peak_memory", &reset_peak_memory, nb::sig("def reset_peak_memory() -> None"),
        "Sets the peak to what is in use now.\n\nExample:\n    >>> mx.reset_peak_memory()\n");
  m.def("clear_cache", &clear_cache, nb::sig("def clear_cache() -> None"),
        "Gives the memory kept for reuse back to the system.\n\nExample:\n    >>> mx.clear_cache()\n    >>> "
        "mx.get_cache_memory()\n    0\n");
#define NHWC_DEF(n, what)                                                                                             \
  m.def(                                                                                                              \
      #n, [](nb::object limit) { return n(to_bytes(limit, #n)); }, nb::arg("limit"),                                  \
      nb::sig("def " #n "(limit: int) -> int"),                                                                       \
      what                                                                                                            \
      ".\n\nArgs:\n    limit (int): bytes.\n\nReturns:\n    int: the limit before.\n\nRaises:\n    ValueError: less " \
      "than 0.\n"                                                                                                     \
      "\nExample:\n    >>> before = mx." #n "(2**30)\n    >>> mx." #n "(before) == 2**30\n    True\n");
  NHWC_DEF(set_memory_limit,
           "Limits the memory that arrays and scratch may use; what would exceed it raises MemoryError")
  NHWC_DEF(set_cache_limit, "Limits the memory kept for reuse")
  NHWC_DEF(set_workspace_limit, "Limits the scratch that one operation may use; more work is then done in blocks")
#undef NHWC_DEF
}

}  // namespace

void bind_memory(nb::module_& m) {
  bind_counters(m);
  // MLX's former names, which published programs still use.
  nb::module_ metal = m.attr("metal");
  for (const char* name : {"get_active_memory", "get_cache_memory", "get_peak_memory", "reset_peak_memory",
                           "clear_cache", "set_cache_limit", "set_memory_limit"})
    metal.attr(name) = m.attr(name);
  m.def("num_threads", &num_threads, nb::sig("def num_threads() -> int"),
        "The number of threads that operations use.\n\nReturns:\n    int: at least 1.\n\nExample:\n    >>> "
        "mx.num_threads() >= 1\n    True\n");
  m.def(
      "set_num_threads", [](nb::object n) { set_num_threads(static_cast<int>(to_int(n, "set_num_threads", "n"))); },
      nb::arg("n"), nb::sig("def set_num_threads(n: int) -> None"),
      "Sets the number of threads that operations use; results do not depend on it.\n\nArgs:\n    n (int): at least "
      "1.\n\nRaises:\n    ValueError: less than 1.\n"
      "\nExample:\n    >>> mx.set_num_threads(mx.num_threads())\n");
  m.def("batch_invariant", &batch_invariant, nb::sig("def batch_invariant() -> bool"),
        "Whether an image's convolution has the same bits in a batch of any size.\n\nReturns:\n    bool: "
        "``False`` unless it was set.\n\nExample:\n    >>> mx.batch_invariant()\n    False\n");
  m.def("set_batch_invariant", &set_batch_invariant, nb::arg("on"),
        nb::sig("def set_batch_invariant(on: bool) -> None"),
        "Makes an image's convolution and input gradient have the same bits in a batch of any size; also "
        "``NHWC_BATCH_INVARIANT=1``. Costs speed where the best algorithm depends on the batch. Matrix products and "
        "gradients of weights, which sum over the batch, are not meant.\n\nArgs:\n    on (bool): from now on.\n"
        "\nExample:\n    >>> mx.set_batch_invariant(True)\n    >>> mx.batch_invariant()\n    True\n    >>> "
        "mx.set_batch_invariant(False)\n");
  m.def(
      "set_isa", [](const std::string& name) { set_isa(name); }, nb::arg("name"),
      nb::sig("def set_isa(name: str) -> None"),
      "Sets the instruction set of the CPU kernels; also ``NHWC_ISA``.\n\nArgs:\n    name (str): ``\"baseline\"``, "
      "``\"avx2\"``, ``\"avx512\"``, ``\"avx512bf16\"``, the same with dot products of bfloat16, or ``\"amx\"``, the "
      "same "
      "with the matrix unit; on arm64 ``\"neon\"`` or ``\"neonbf16\"``.\n"
      "\nRaises:\n    ValueError: unknown, or not supported by this processor.\n\nExample:\n    >>> "
      "mx.set_isa(mx.current_isa())\n");
  m.def(
      "current_isa", [] { return isa_choice(); }, nb::sig("def current_isa() -> str"),
      "The instruction set of the CPU kernels.\n\nReturns:\n    str: as in "
      "``set_isa``.\n"
      "\nExample:\n    >>> mx.current_isa() in (\"baseline\", \"avx2\", \"avx512\", \"avx512bf16\", \"amx\", "
      "\"neon\", \"neonbf16\")\n    True\n");
}

}  // namespace nhwc::py
