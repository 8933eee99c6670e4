// tests/apple/emulator/core/launch.cpp -- checks the arguments of a launch, and runs its groups
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <mutex>

#include "core.h"
#include "opened.h"

namespace emu {
namespace {

std::mutex one_at_a_time;

std::string dimensions(const uint32_t v[3]) {
  return "(" + std::to_string(v[0]) + ", " + std::to_string(v[1]) + ", " + std::to_string(v[2]) + ")";
}

/// Sets the function constants; a text where one does not fit.
std::string set_constants(const emu_module& module, const msl::KernelInfo& kernel, const emu_launch& given) {
  const msl::ModuleInfo& info = *module.info;
  for (uint32_t i = 0; i < info.constant_count; ++i) {
    const msl::ConstantInfo& constant = info.constants[i];
    const emu_constant_value* value = nullptr;
    for (uint32_t v = 0; v < given.constant_count; ++v) {
      const emu_constant_value& candidate = given.constants[v];
      if (candidate.name ? !std::strcmp(candidate.name, constant.name) : candidate.index == constant.index)
        value = &candidate;
    }
    *constant.defined = value != nullptr;
    if (value) {
      std::memcpy(constant.value, value->value, constant.bytes);
      continue;
    }
    std::memset(constant.value, 0, constant.bytes);
    const std::string needs = std::string(" ") + kernel.needs;
    if (needs.find(" " + std::string(constant.name) + " ") != std::string::npos)
      return "function constant " + std::to_string(constant.index) + " '" + constant.name + "' has no value";
  }
  info.derive();
  return "";
}

std::string check_bindings(const msl::KernelInfo& kernel, const emu_launch& given) {
  for (uint32_t i = 0; i < kernel.binding_count; ++i) {
    const msl::BindingInfo& binding = kernel.bindings[i];
    const bool buffer = binding.kind == msl::Bind::buffer;
    const std::string who = std::string(buffer ? "buffer " : "threadgroup memory ") + std::to_string(binding.index) +
                            " '" + binding.name + "'";
    if (binding.index >= (buffer ? EMU_MAX_BUFFERS : EMU_MAX_THREADGROUP_BINDINGS)) return who + " is out of range";
    if (binding.enabled && !*binding.enabled) continue;
    const uint64_t bytes = buffer ? given.buffers[binding.index].bytes : given.threadgroup_bytes[binding.index];
    if (buffer ? !given.buffers[binding.index].data : !bytes) return who + " is not bound";
    if (binding.reference && bytes < binding.bytes)
      return who + " has " + std::to_string(bytes) + " bytes; the kernel's type has " + std::to_string(binding.bytes);
  }
  return "";
}

std::string check_sizes(const msl::KernelInfo& kernel, const emu_launch& given) {
  const uint64_t threads = uint64_t(given.threads[0]) * given.threads[1] * given.threads[2];
  const uint64_t most = kernel.max_threads ? kernel.max_threads : uint64_t(EMU_MAX_THREADS);
  if (!threads || threads > most)
    return "threads per threadgroup " + dimensions(given.threads) + ": from 1 to " + std::to_string(most) +
           " are allowed";
  uint64_t shared = 0;
  for (uint32_t bytes : given.threadgroup_bytes) shared += bytes;
  if (shared > EMU_THREADGROUP_LIMIT)
    return "threadgroup memory of " + std::to_string(shared) + " bytes is bound: the limit is " +
           std::to_string(EMU_THREADGROUP_LIMIT);
  return "";
}

// A crash in a kernel ends the launch, not the process.
sigjmp_buf crash_return;
volatile sig_atomic_t crash_armed;
int crash_signal;
void* crash_address;

void on_crash(int number, siginfo_t* info, void*) {
  if (!crash_armed || !in_kernel()) {
    signal(number, SIG_DFL);
    raise(number);
    return;
  }
  crash_signal = number;
  crash_address = info->si_addr;
  siglongjmp(crash_return, 1);
}

/// Holds the handlers while a launch runs.
class CrashGuard {
 public:
  CrashGuard() {
    if (with_asan() || with_tsan()) return;
    static char stack[64 << 10];
    stack_t own = {};
    own.ss_sp = stack;
    own.ss_size = sizeof stack;
    sigaltstack(&own, &old_stack_);
    struct sigaction action = {};
    action.sa_sigaction = on_crash;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    for (int i = 0; i < 4; ++i) sigaction(kSignals[i], &action, &old_[i]);
    armed_ = true;
  }
  ~CrashGuard() {
    crash_armed = 0;
    if (!armed_) return;
    for (int i = 0; i < 4; ++i) sigaction(kSignals[i], &old_[i], nullptr);
    sigaltstack(&old_stack_, nullptr);
  }

 private:
  static constexpr int kSignals[4] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
  struct sigaction old_[4];
  stack_t old_stack_;
  bool armed_ = false;
};

/// Makes launch's threads those of the group at `position`, `size` threads large.
void begin_group(const uint32_t position[3], const uint32_t size[3]) {
  msl::Group& group = launch.group;
  for (int d = 0; d < 3; ++d) {
    group.position[d] = position[d];
    group.threads[d] = size[d];
  }
  const uint32_t count = size[0] * size[1] * size[2];
  const uint32_t simds = (count + msl::kSimdWidth - 1) / msl::kSimdWidth;
  group.simds = simds;
  launch.thread_count = launch.alive = count;
  launch.at_barrier = 0;
  launch.threads.resize(count);
  launch.simds.resize(simds);
  launch.ready.assign(simds, ~0u);
  if (count % msl::kSimdWidth) launch.ready.back() = (1u << count % msl::kSimdWidth) - 1;
  launch.ready_simds = simds == 32 ? ~0u : (1u << simds) - 1;
  for (uint32_t s = 0; s < simds; ++s) {
    launch.simds[s].alive = launch.ready[s];
    launch.simds[s].arrived = 0;
  }
  uint32_t i = 0;
  for (uint32_t z = 0; z < size[2]; ++z)
    for (uint32_t y = 0; y < size[1]; ++y)
      for (uint32_t x = 0; x < size[0]; ++x, ++i) {
        Thread& thread = launch.threads[i];
        const uint32_t local[3] = {x, y, z};
        thread.group = &group;
        for (int d = 0; d < 3; ++d) {
          thread.local[d] = local[d];
          thread.position[d] = position[d] * group.dispatch_threads[d] + local[d];
          if (d < 2) thread.barriers[d] = thread.simd_barriers[d] = 0;
        }
        thread.index = i;
        thread.lane = i % msl::kSimdWidth;
        thread.simd = i / msl::kSimdWidth;
        thread.simdgroup = &launch.simds[thread.simd];
        thread.fiber = nullptr;
        thread.barrier = 0;
      }
  if (launch.order == EMU_SIMDGROUP_FIRST) {
    launch.priority.resize(simds);
    for (uint32_t s = 0; s < simds; ++s) launch.priority[s] = s;
    for (uint32_t s = simds; s > 1; --s) std::swap(launch.priority[s - 1], launch.priority[random_below(s)]);
  }
}

/// Runs every group, in the order that the seed says.
void run_groups(const emu_launch& given) {
  msl::Group& group = launch.group;
  const bool by_threads = given.grid[0] || given.grid[1] || given.grid[2];
  uint64_t groups = 1;
  for (int d = 0; d < 3; ++d) {
    group.dispatch_threads[d] = given.threads[d];
    group.groups[d] = by_threads ? (given.grid[d] + given.threads[d] - 1) / given.threads[d] : given.groups[d];
    group.grid[d] = by_threads ? given.grid[d] : given.groups[d] * given.threads[d];
    groups *= group.groups[d];
  }
  std::vector<uint32_t> order(given.seed ? groups : 0);
  for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  for (uint32_t i = uint32_t(order.size()); i > 1; --i) std::swap(order[i - 1], order[random_below(i)]);
  for (uint64_t i = 0; i < groups && launch.failure.empty(); ++i) {
    const uint64_t g = order.empty() ? i : order[i];
    const uint32_t position[3] = {uint32_t(g % group.groups[0]), uint32_t(g / group.groups[0] % group.groups[1]),
                                  uint32_t(g / group.groups[0] / group.groups[1])};
    uint32_t size[3];
    for (int d = 0; d < 3; ++d) size[d] = std::min(given.threads[d], group.grid[d] - position[d] * given.threads[d]);
    begin_group(position, size);
    begin_threadgroup_memory(given);
    begin_check_group();
    launch.counters.threads += launch.thread_count;
    run_group(launch.kernel->run);
    launch.counters.threadgroup_bytes = std::max(launch.counters.threadgroup_bytes, threadgroup_bytes());
  }
}

emu_order order_of(const emu_launch& given) {
  if (given.order != EMU_ORDER_BY_SEED) return given.order;
  if (!given.seed) return EMU_IN_ORDER;
  constexpr emu_order kOrders[] = {EMU_SIMDGROUP_FIRST, EMU_RANDOM, EMU_REVERSED, EMU_SIMDGROUP_FIRST};
  return kOrders[given.seed % 4];
}

std::string crash_text() {
  // The compiler's checks of --mode check end in an illegal instruction, which has no line.
  if (crash_signal == SIGILL) return "an index outside of its array, or a number that its integer type does not hold";
  char text[128];
  std::snprintf(text, sizeof text, "crashed with signal %d (%s) at address %p", crash_signal, strsignal(crash_signal),
                crash_address);
  return text;
}

void run_all(const emu_launch& given) {
  CrashGuard guard;
  if (sigsetjmp(crash_return, 0)) {
    crash_armed = 0;
    launch.failure = crash_text();
    current = nullptr;
    forget_stacks();
    return;
  }
  crash_armed = 1;
  run_groups(given);
}

}  // namespace
}  // namespace emu

extern "C" emu_status emu_run(const emu_kernel* kernel, const emu_launch* given, emu_counters* counters,
                              emu_error* error) {
  using emu::launch;
  std::lock_guard lock(emu::one_at_a_time);
  const emu_module& module = *kernel->module;
  const msl::KernelInfo& info = module.info->kernels[kernel - module.kernels.data()];
  emu_status status = EMU_OK;
  std::string text = emu::set_constants(module, info, *given);
  if (text.empty()) text = emu::check_bindings(info, *given);
  if (text.empty()) text = emu::check_sizes(info, *given);
  launch.counters = {};
  if (text.empty()) {
    const auto start = std::chrono::steady_clock::now();
    launch.given = given;
    launch.kernel = &info;
    launch.order = emu::order_of(*given);
    launch.random = given->seed * 0x9E3779B97F4A7C15ull + 88172645463325252ull;
    launch.failure.clear();
    for (int i = 0; i < EMU_MAX_BUFFERS; ++i) emu::bound_buffers[i] = given->buffers[i].data;
    if (module.info->traced) {
      emu::begin_image(module.info, module.path);
      emu::begin_check(*given, info);
    }
    emu::run_all(*given);
    if (module.info->traced) emu::end_check();
    emu::finish_launch();
    launch.counters.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    text = launch.failure;
    if (!text.empty()) status = EMU_KERNEL_ERROR;
  } else {
    status = EMU_BAD_LAUNCH;
  }
  if (counters) *counters = launch.counters;
  if (status != EMU_OK && error)
    std::snprintf(error->text, sizeof error->text, "[%s] %s (kernel of %s:%d)", kernel->name, text.c_str(),
                  kernel->file, kernel->line);
  return status;
}
