// csrc/graph/program.cpp -- records a traced graph as a flat program, and builds it again
#include "graph/program.h"

#include <algorithm>
#include <cstring>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

#include "graph/trace_scope.h"
#include "nhwc/error.h"

namespace nhwc {
namespace {

// What a primitive consists of, for comparing two; those without members need none.
auto fields(const Unary& p) { return std::tie(p.kind); }
auto fields(const Binary& p) { return std::tie(p.kind); }
auto fields(const Reduce& p) { return std::tie(p.kind, p.axes, p.keepdims); }
auto fields(const ArgReduce& p) { return std::tie(p.max, p.axis, p.keepdims); }
auto fields(const Scan& p) { return std::tie(p.product, p.axis, p.reverse, p.inclusive); }
auto fields(const Sort& p) { return std::tie(p.axis, p.indices); }
auto fields(const Transpose& p) { return std::tie(p.perm); }
auto fields(const Slice& p) { return std::tie(p.start, p.step); }
auto fields(const SliceUpdate& p) { return std::tie(p.start, p.step, p.mode); }
auto fields(const Concatenate& p) { return std::tie(p.axis); }
auto fields(const Gather& p) { return std::tie(p.axes, p.slice_sizes); }
auto fields(const Scatter& p) { return std::tie(p.axes, p.mode); }
auto fields(const GatherAxis& p) { return std::tie(p.axis); }
auto fields(const ScatterAxis& p) { return std::tie(p.axis, p.mode); }
auto fields(const Arange& p) { return std::tie(p.start, p.step, p.istart, p.istep); }
auto fields(const RandomBits& p) { return std::tie(p.width); }
auto fields(const Conv& p) { return std::tuple<ConvKind, const ConvGeometry&>(p.kind, *p.geometry); }
auto fields(const Identity& p) { return std::tie(p.kind); }
auto fields(const CustomOutput& p) { return std::tie(p.call, p.index); }
auto fields(const HostCall& p) { return std::tie(p.call); }
auto fields(const OptimizerUpdate& p) { return std::tie(p.call); }
auto fields(const OptimizerOutput& p) { return std::tie(p.index); }

bool same_primitive(const Primitive& a, const Primitive& b) {
  if (a.index() != b.index()) return false;
  return std::visit(
      [&]<class P>(const P& p) {
        if constexpr (std::is_empty_v<P>)
          return true;
        else
          return fields(p) == fields(std::get<P>(b));
      },
      a);
}

bool is_view(const Primitive& p) {
  return std::holds_alternative<Broadcast>(p) || std::holds_alternative<Reshape>(p) ||
         std::holds_alternative<Transpose>(p) || std::holds_alternative<Slice>(p);
}

/// A result that depends on no argument is kept, and so computed once, up to this size; larger ones are computed by
/// each build, so that a program holds no memory worth counting.
constexpr size_t kKeptBytes = 64 * 1024;

}  // namespace

class Recorder {
 public:
  using Slot = Program::Slot;
  using Slots = Program::Slots;

  Recorder(Program& program, const Arrays& arguments) : p_(program) {
    p_.arguments_ = arguments.size();
    for (size_t i = 0; i < arguments.size(); ++i) slots_.try_emplace(arguments[i].node(), static_cast<Slot>(i));
  }

  void record(Node* n) {
    if (slots_.contains(n) || is_leaf(*n)) return;  // a leaf becomes a constant when something reads it
    Slots inputs;
    for (const Array& in : n->inputs) inputs.push_back(slot(in));
    const auto* identity = std::get_if<Identity>(&n->prim);
    if (identity && identity->kind == IdentityKind::alias) {  // a tracer of a transformation that is over
      slots_[n] = inputs[0];
      return;
    }
    std::vector<Entry>& alike = entries_[hash(*n, inputs)];
    for (const Entry& e : alike) {
      if (!same(e, *n, inputs)) continue;
      slots_[n] = e.slot;
      return;
    }
    const Slot at = is_kept(*n, inputs) ? add_constant(array_of(n)) : add_step(*n, inputs);
    slots_[n] = at;
    alike.push_back({n, inputs, at});
  }

  Slot slot(const Array& a) {
    auto it = slots_.find(a.node());
    if (it != slots_.end()) return it->second;
    const Slot at = is_scalar(a) ? scalar_constant(a) : add_constant(a);
    slots_[a.node()] = at;
    return at;
  }

  // Constants that only other constants were computed from are not the program's.
  void drop_unread_constants() {
    std::vector<Slot> moved(p_.constants_.size(), 0);
    Arrays kept;
    auto move = [&](Slots& slots) {
      for (Slot& s : slots) {
        if (!(s & Program::kConstant)) continue;
        Slot& to = moved[s & ~Program::kConstant];
        if (to == 0) {
          to = static_cast<Slot>(kept.size()) | Program::kConstant;
          kept.push_back(p_.constants_[s & ~Program::kConstant]);
        }
        s = to;
      }
    };
    for (Program::Step& s : p_.steps_) move(s.inputs);
    move(p_.outputs_);
    p_.constants_ = std::move(kept);
  }

 private:
  struct Entry {
    const Node* node;
    Slots inputs;
    Slot slot;
  };

  static bool is_leaf(const Node& n) {
    return std::holds_alternative<Data>(n.prim) || std::holds_alternative<Placeholder>(n.prim);
  }
  static bool is_scalar(const Array& a) {
    return std::holds_alternative<Data>(a.node()->prim) && a.ndim() == 0 && a.is_ready();
  }
  static bool is_kept(const Node& n, const Slots& inputs) {
    const bool constant =
        std::all_of(inputs.begin(), inputs.end(), [](Slot s) { return (s & Program::kConstant) != 0; });
    return constant && (is_view(n.prim) || array_of(const_cast<Node*>(&n)).nbytes() <= kKeptBytes);
  }
  static bool same(const Entry& e, const Node& n, const Slots& inputs) {
    return e.inputs == inputs && e.node->dtype == n.dtype && e.node->stream == n.stream && e.node->shape == n.shape &&
           same_primitive(e.node->prim, n.prim);
  }
  static size_t hash(const Node& n, const Slots& inputs) {
    size_t h = n.prim.index() * 31 + static_cast<size_t>(n.dtype);
    for (Slot s : inputs) h = h * 1'000'003 + s;
    for (int64_t d : n.shape) h = h * 1'000'003 + static_cast<size_t>(d);
    return h;
  }

  Slot add_constant(const Array& a) {
    p_.constants_.push_back(a);
    return static_cast<Slot>(p_.constants_.size() - 1) | Program::kConstant;
  }
  // Equal scalars are one constant, so that what is computed from them is seen to be the same too.
  Slot scalar_constant(const Array& a) {
    uint64_t bits = 0;
    std::memcpy(&bits, a.data(), a.nbytes());
    auto [it, fresh] = scalars_[static_cast<int>(a.dtype())].try_emplace(bits, 0);
    if (fresh) it->second = add_constant(a);
    return it->second;
  }
  Slot add_step(const Node& n, const Slots& inputs) {
    p_.steps_.push_back({n.prim, n.shape, n.dtype, n.stream, inputs});
    return static_cast<Slot>(p_.arguments_ + p_.steps_.size() - 1);
  }

  Program& p_;
  std::unordered_map<const Node*, Slot> slots_;
  std::unordered_map<size_t, std::vector<Entry>> entries_;
  std::unordered_map<uint64_t, Slot> scalars_[kDtypeCount];
};

Program::Program(const Arrays& arguments, const Arrays& outputs, uint64_t since) {
  Recorder recorder(*this, arguments);
  for (Node* n : tape_of(outputs, since)) recorder.record(n);
  for (const Array& o : outputs) outputs_.push_back(recorder.slot(o));
  recorder.drop_unread_constants();
  steps_.shrink_to_fit();
}

Arrays Program::build(const Arrays& arguments) const {
  NHWC_CHECK(arguments.size() == arguments_, "arguments of a program");
  Arrays values;
  values.reserve(steps_.size());
  auto at = [&](Slot s) -> const Array& {
    if (s & kConstant) return constants_[s & ~kConstant];
    return s < arguments_ ? arguments[s] : values[s - arguments_];
  };
  // The outputs of one call are recognised by sharing it, so calls of two builds must not be the same object.
  std::unordered_map<const CustomCall*, std::shared_ptr<const CustomCall>> calls;
  for (const Step& s : steps_) {
    const auto* custom = std::get_if<CustomOutput>(&s.prim);
    if (custom && !tracing()) {  // nobody will ask for its derivative
      values.push_back(at(s.inputs[custom->index]));
      continue;
    }
    NodeInputs inputs;
    for (Slot i : s.inputs) inputs.push_back(at(i));
    Primitive prim = s.prim;
    // compile traces a function anew for a derivative or a batch, for which a step of an optimizer has no rules.
    NHWC_CHECK(!std::holds_alternative<OptimizerUpdate>(prim) || !transforming(), "a recorded update is transformed");
    if (custom) {
      auto& call = calls[custom->call.get()];
      if (!call) call = std::make_shared<const CustomCall>(*custom->call);
      std::get<CustomOutput>(prim).call = call;
    }
    values.push_back(make_node(std::move(prim), s.shape, s.dtype, std::move(inputs), s.stream));
  }
  Arrays outputs;
  outputs.reserve(outputs_.size());
  for (Slot o : outputs_) outputs.push_back(at(o));
  return outputs;
}

Arrays captured_tracers(const Arrays& arguments, const Arrays& outputs, uint64_t since) {
  std::unordered_set<const Node*> seen;
  for (const Array& a : arguments) seen.insert(a.node());
  Arrays captured;
  auto look_at = [&](const Array& a) {
    if (a.node()->tracer() && a.node()->trace < since && seen.insert(a.node()).second) captured.push_back(a);
  };
  for (const Array& o : outputs) look_at(o);
  const std::vector<Node*> tape = tape_of(outputs, since);
  const std::unordered_set<const Node*> own(seen);  // an argument's own input is not read by the function
  for (Node* n : tape)
    if (!own.contains(n))
      for (const Array& in : n->inputs) look_at(in);
  return captured;
}

}  // namespace nhwc
