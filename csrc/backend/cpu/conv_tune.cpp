// csrc/backend/cpu/conv_tune.cpp -- measures the algorithms a convolution can take, and remembers the fastest
#include "backend/cpu/conv_tune.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <memory>
#include <mutex>
#include <sstream>

#include "base/allocator.h"
#include "base/env.h"
#include "base/visit_dtype.h"
#include "base/warn.h"

namespace nhwc::cpu {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kSampleUs = 30;    // a timing of less is made of several runs
constexpr int kRounds = 3;          // a disturbed timing rules nothing out before
constexpr double kEnoughUs = 5e5;   // spent on one problem, after so many rounds
constexpr double kHopeless = 1.5;   // times the fastest: not timed again
constexpr double kWorthIt = 0.98;   // of the time of the model's choice; what gains less is noise
constexpr int64_t kMaxRuns = 1000;  // in one timing

struct Shared {
  std::mutex mutex;
  TuningTable table;
  std::vector<TuningEntry> measured;
  TuneOptions options;
  std::atomic<uint64_t> version{0};
  std::atomic<int> active{0};
};

Shared& shared() {
  static Shared* s = new Shared;  // never destroyed: an evaluation may outlive static destructors
  return *s;
}

double us_since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

struct Trial {
  CpuPlan plan;
  std::unique_ptr<Scratch> packed = nullptr;
  double us = 0;
  int64_t runs = 1;    // per timing
  bool wrong = false;  // not timed

  void run(const ConvTask& task, void* out) {
    if (task.weight_grad) {
      ConvWeightGradOperands a = *task.weight_grad;
      a.dw = out;
      return run_conv_weight_grad(plan, a);
    }
    ConvOperands a = *task.forward;
    if (a.residual_from_y != 0) {
      const intptr_t moved = reinterpret_cast<intptr_t>(a.y) - reinterpret_cast<intptr_t>(out);
      a.residual_from_y += moved / static_cast<intptr_t>(size_of(plan.problem.dtype));
    }
    a.y = out;
    if (packed) a.packed = packed->as<void>();
    run_conv(plan, a);
  }

  void pack(const ConvTask& task) {
    const size_t bytes = task.pack_once ? packed_weight_bytes(plan) : 0;
    if (bytes == 0) return;
    packed = std::make_unique<Scratch>(bytes);
    pack_conv_weights(plan, task.forward->w, packed->as<void>());
  }

  void time(const ConvTask& task, void* out) {
    const auto start = Clock::now();
    for (int64_t i = 0; i < runs; ++i) run(task, out);
    const double each = us_since(start) / static_cast<double>(runs);
    us = us == 0 ? each : std::min(us, each);
  }
};

/// In relative L2, far above rounding and far below a mistake. What is not finite must be so in both.
template <class S>
bool agree(const void* got, const void* expected, int64_t n) {
  const S *a = static_cast<const S*>(got), *b = static_cast<const S*>(expected);
  const double tolerance = is_half_v<S> ? 3e-2 : sizeof(S) == 8 ? 1e-9 : 1e-3;
  double error = 0, norm = 0;
  for (int64_t i = 0; i < n; ++i) {
    const double x = convert<double>(a[i]), y = convert<double>(b[i]);
    if (std::isfinite(x) != std::isfinite(y)) return false;
    if (!std::isfinite(x)) continue;
    error += (x - y) * (x - y);
    norm += y * y;
  }
  return error <= tolerance * tolerance * norm;
}

bool agree(Dtype t, const void* got, const void* expected, int64_t n) {
  const auto f = t == Dtype::float16    ? agree<Float16>
                 : t == Dtype::bfloat16 ? agree<BFloat16>
                 : t == Dtype::float64  ? agree<double>
                                        : agree<float>;
  return f(got, expected, n);
}

/// The plan of one algorithm, nothing where the planner refuses it.
std::optional<CpuPlan> plan_of(const ConvProblem& q, DeviceFacts facts, ConvAlgorithm a) {
  facts.wanted = a;
  CpuPlan plan = plan_conv(q, facts);
  if (plan.algorithm != a) return {};
  return plan;
}

/// The model's choice first.
std::vector<Trial> trials_of(const ConvProblem& q, const DeviceFacts& facts) {
  const CpuPlan model = plan_conv(q, facts);
  std::vector<Trial> trials;
  trials.push_back({model});
  for (const Rejected& r : model.rejected)
    if (r.cost_us > 0)
      if (auto plan = plan_of(q, facts, r.algorithm)) trials.push_back({*plan});
  return trials;
}

/// Times them in turn, so that a slow phase of the machine meets all of them.
void time_all(std::vector<Trial>& trials, int repeats, const ConvTask& task, void* out) {
  const auto start = Clock::now();
  for (int round = 0; round < repeats; ++round) {
    double least = INFINITY;
    for (const Trial& t : trials)
      if (round >= kRounds && !t.wrong) least = std::min(least, t.us);
    for (Trial& t : trials) {
      if (t.wrong || t.us > kHopeless * least) continue;
      t.time(task, out);
      t.runs = std::clamp<int64_t>(static_cast<int64_t>(kSampleUs / t.us), 1, kMaxRuns);
    }
    if (round + 1 >= kRounds && us_since(start) > kEnoughUs) break;
  }
}

void report(const TuningEntry& e, size_t count) {
  std::fprintf(stderr, "\r\033[K[nhwc] tuned %zu: %s %.4g us, model's choice %s %.4g us: %.50s", count,
               name(e.tuned.algorithm), e.tuned.us, name(e.preferred), e.preferred_us, describe(e.key).c_str());
  std::fflush(stderr);
}

void read_named_file() {
  const std::string path = env("NHWC_TUNE_CACHE");
  if (path.empty()) return;
  const ParsedTuning p = load_tuning(path);
  if (!p.problem.empty()) warn("NHWC_TUNE_CACHE=" + path + ": " + p.problem);
}

std::optional<Tuned> tuned_choice(const ConvProblem& q, const DeviceFacts& facts) {
  static std::once_flag read;
  std::call_once(read, read_named_file);
  Shared& s = shared();
  std::lock_guard lock(s.mutex);
  const TuningEntry* e = s.table.find(facts.isa, tuning_key(q, facts.batch_invariant));
  if (!e) return {};
  return e->tuned;
}

}  // namespace

uint64_t tuning_version() { return shared().version.load(std::memory_order_acquire); }

bool tuning() { return shared().active.load(std::memory_order_relaxed) > 0; }

CpuPlan make_plan(const ConvProblem& q, DeviceFacts facts) {
  facts.tuned = tuned_choice(q, facts);
  CpuPlan plan = plan_conv(q, facts);
  static const bool debug = env_int("NHWC_DEBUG", 0, 0) != 0;
  if (debug) std::fputs(describe(plan).c_str(), stderr);
  if (facts.tuned && plan.measured_us == 0 && facts.wanted != plan.algorithm)
    warn(std::string("a tuned choice is ignored: ") + name(facts.tuned->algorithm) + " cannot compute " + describe(q));
  return plan;
}

size_t begin_tuning(const TuneOptions& options, bool again) {
  Shared& s = shared();
  std::lock_guard lock(s.mutex);
  s.options = options;
  if (again) {
    s.table.clear();
    ++s.version;
  }
  ++s.active;
  return s.measured.size();
}

std::vector<TuningEntry> end_tuning(size_t begun) {
  Shared& s = shared();
  std::lock_guard lock(s.mutex);
  --s.active;
  return {s.measured.begin() + static_cast<std::ptrdiff_t>(begun), s.measured.end()};
}

void measure_conv(const ConvProblem& q, int64_t outputs, const ConvTask& task) {
  DeviceFacts facts = cpu_facts();
  facts.wanted.reset();
  if (tuned_choice(q, facts)) return;
  std::vector<Trial> trials = trials_of(q, facts);
  if (trials.size() < 2) return;
  const size_t bytes = static_cast<size_t>(outputs) * size_of(q.dtype);
  const Scratch expected(bytes), got(bytes);
  const ConvAlgorithm plainest =
      q.form == ConvProblem::Form::forward ? ConvAlgorithm::direct : ConvAlgorithm::weight_grad;
  if (auto plan = plan_of(q, facts, plainest)) Trial{*plan}.run(task, expected.as<void>());
  for (Trial& t : trials) {
    t.pack(task);
    t.run(task, got.as<void>());
    t.wrong = !agree(q.dtype, got.as<void>(), expected.as<void>(), outputs);
    if (t.wrong)
      warn(std::string("tune: ") + name(t.plan.algorithm) + " is left out, it differs from " + name(plainest) +
           " for " + describe(q));
  }
  Shared& s = shared();
  int repeats;
  {
    std::lock_guard lock(s.mutex);
    repeats = s.options.repeats;
  }
  time_all(trials, repeats, task, got.as<void>());
  const auto first = std::find_if(trials.begin(), trials.end(), [](const Trial& t) { return !t.wrong; });
  if (first == trials.end()) return;
  const Trial* best = &*first;
  for (const Trial& t : trials)
    if (!t.wrong && t.us < best->us && t.us < kWorthIt * first->us) best = &t;
  const TuningEntry e{facts.isa,
                      tuning_key(q, facts.batch_invariant),
                      {best->plan.algorithm, best->us},
                      first->plan.algorithm,
                      first->us};
  std::lock_guard lock(s.mutex);
  if (!s.table.add(e)) return;
  s.measured.push_back(e);
  s.version.fetch_add(1, std::memory_order_release);
  if (s.options.progress) report(e, s.measured.size());
}

std::string tuning_text() {
  const TuningOrigin origin = tuning_origin(cpu_facts());
  Shared& s = shared();
  std::lock_guard lock(s.mutex);
  return format_tuning(s.table, origin);
}

ParsedTuning load_tuning(const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file && (errno == ENOENT || errno == ENOTDIR)) return {};
  std::ostringstream text;
  if (file && file.peek() != EOF) text << file.rdbuf();
  if (!file.is_open() || file.bad() || !text) return {ParsedTuning::Status::damaged, "it cannot be read", {}};
  ParsedTuning p = parse_tuning(text.str(), tuning_origin(cpu_facts()));
  Shared& s = shared();
  std::lock_guard lock(s.mutex);
  for (const TuningEntry& e : p.entries) s.table.add(e);
  ++s.version;
  return p;
}

}  // namespace nhwc::cpu
