// csrc/plan/tuning.cpp -- the algorithms that were measured to be the fastest, by problem, and their text form; pure
#include "plan/tuning.h"

#include <charconv>
#include <cmath>
#include <sstream>

namespace nhwc {
namespace {

constexpr std::string_view kTitle = "nhwc tuning 1";  // the number: of the format
constexpr std::string_view kColumns =
    "# isa form dtype batch groups c o, in out kernel stride dilation in_dilation pad (three each), flip swapped "
    "highest, "
    "algorithm us, the model's algorithm us";

/// Every number of a key, in the order of the columns.
template <class Q, class F>
void each_number(Q& q, const F& f) {
  for (auto* v : {&q.batch, &q.groups, &q.c, &q.o}) f(*v);
  for (auto* axes : {&q.in, &q.out, &q.kernel, &q.stride, &q.dilation, &q.in_dilation, &q.pad})
    for (auto& v : *axes) f(v);
}

/// Words of a line; one that is missing or no number makes the line bad.
struct Words {
  std::string_view rest;
  bool good = true;

  std::string_view word() {
    const size_t end = rest.find(' ');
    const std::string_view w = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    good = good && !w.empty();
    return w;
  }
  template <class T>
  T number() {
    const std::string_view w = word();
    T v{};
    const auto [end, error] = std::from_chars(w.data(), w.data() + w.size(), v);
    good = good && error == std::errc() && end == w.data() + w.size();
    return v;
  }
  /// By a stream, since macOS has from_chars of floating point only from 26 on.
  double time() {
    std::istringstream text{std::string(word())};
    text.imbue(std::locale::classic());
    double us = 0;
    text >> us;
    good = good && text.eof() && !text.fail() && us > 0 && std::isfinite(us);
    return us;
  }
};

bool named(std::string_view text, std::initializer_list<std::string_view> names, int& index) {
  index = 0;
  for (std::string_view n : names) {
    if (text == n) return true;
    ++index;
  }
  return false;
}

/// The entry of a line. False where it is no such line; `unknown` gets the name of an algorithm that does not exist.
bool parse_entry(std::string_view line, TuningEntry& e, std::string& unknown) {
  Words w{line};
  int isa = 0, form = 0, dtype = 0;
  w.good = w.good && named(w.word(), {name(Isa::baseline), name(Isa::avx2), name(Isa::avx512), name(Isa::neon)}, isa);
  w.good = w.good && named(w.word(), {"forward", "weight_grad"}, form);
  constexpr Dtype kTypes[] = {Dtype::float16, Dtype::bfloat16, Dtype::float32, Dtype::float64};
  w.good = w.good && named(w.word(), {name(kTypes[0]), name(kTypes[1]), name(kTypes[2]), name(kTypes[3])}, dtype);
  if (!w.good) return false;
  e.isa = static_cast<Isa>(isa);
  e.key.form = static_cast<ConvProblem::Form>(form);
  e.key.dtype = kTypes[dtype];
  each_number(e.key, [&](int64_t& v) { v = w.number<int64_t>(); });
  for (bool* flag : {&e.key.flip, &e.key.swapped, &e.key.highest_precision}) {
    const int v = w.number<int>();
    w.good = w.good && (v == 0 || v == 1);
    *flag = v == 1;
  }
  for (const bool winner : {true, false}) {
    const std::string_view text = w.word();
    const auto algorithm = algorithm_named(text);
    if (!algorithm && w.good) unknown = text;
    (winner ? e.tuned.algorithm : e.preferred) = algorithm.value_or(ConvAlgorithm::direct);
    (winner ? e.tuned.us : e.preferred_us) = w.time();
  }
  return w.good && w.rest.empty();
}

}  // namespace

ConvProblem tuning_key(ConvProblem q, bool batch_invariant) {
  q.has_bias = false;
  q.activation = Activation::none;
  q.fold = 1;  // which says how the weights lie
  if (batch_invariant) q.batch = 0;
  return q;
}

const TuningEntry* TuningTable::find(Isa isa, const ConvProblem& key) const {
  const uint64_t hash = hash_value(key);
  for (size_t i = 0; i < hashes_.size(); ++i)
    if (hashes_[i] == hash && entries_[i].isa == isa && entries_[i].key == key) return &entries_[i];
  return nullptr;
}

bool TuningTable::add(const TuningEntry& e) {
  if (find(e.isa, e.key)) return false;
  entries_.push_back(e);
  hashes_.push_back(hash_value(e.key));
  return true;
}

void TuningTable::clear() {
  entries_.clear();
  hashes_.clear();
}

TuningOrigin tuning_origin(const DeviceFacts& f) {
  std::string machine = f.machine ? f.machine->id : "unknown";
  for (size_t bytes : {f.l1d, f.l2, f.l3}) machine += " " + std::to_string(bytes);
  return {NHWC_VERSION, machine};
}

std::string format_tuning(const TuningTable& table, const TuningOrigin& origin) {
  std::ostringstream s;
  s.imbue(std::locale::classic());  // the host's may group digits
  s << kTitle << "\nlibrary " << origin.library << "\nmachine " << origin.machine << '\n' << kColumns << '\n';
  for (const TuningEntry& e : table.entries()) {
    const ConvProblem& q = e.key;
    s << name(e.isa) << (q.form == ConvProblem::Form::forward ? " forward " : " weight_grad ") << name(q.dtype);
    each_number(q, [&](int64_t v) { s << ' ' << v; });
    s << ' ' << q.flip << ' ' << q.swapped << ' ' << q.highest_precision << ' ' << name(e.tuned.algorithm) << ' '
      << e.tuned.us << ' ' << name(e.preferred) << ' ' << e.preferred_us << '\n';
  }
  s << "end " << table.entries().size() << '\n';
  return s.str();
}

ParsedTuning parse_tuning(const std::string& text, const TuningOrigin& origin) {
  using Status = ParsedTuning::Status;
  std::vector<std::string_view> lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    if (text[at] != '#') lines.push_back(std::string_view(text).substr(at, end - at));
    at = end + 1;
  }
  const std::string last = "end " + std::to_string(lines.size() - 4);
  if (lines.empty() || !lines[0].starts_with("nhwc tuning ")) return {Status::damaged, "it holds no measurements", {}};
  if (lines[0] != kTitle) return {Status::other_version, "its format is that of another version of nhwc", {}};
  if (lines.size() < 4 || text.back() != '\n' || lines.back() != last) return {Status::damaged, "it is cut off", {}};
  if (lines[1] != "library " + origin.library)
    return {Status::other_version, "it was measured with another version of nhwc", {}};
  if (lines[2] != "machine " + origin.machine)
    return {Status::other_machine, "it was measured on another machine, not on " + origin.machine, {}};
  ParsedTuning p;
  for (size_t i = 3; i + 1 < lines.size(); ++i) {
    TuningEntry e;
    std::string unknown;
    if (!parse_entry(lines[i], e, unknown)) return {Status::damaged, "it is damaged: " + std::string(lines[i]), {}};
    if (unknown.empty())
      p.entries.push_back(e);
    else
      p.problem = "it names an algorithm that does not exist, \"" + unknown + "\"";
  }
  return p;
}

}  // namespace nhwc
