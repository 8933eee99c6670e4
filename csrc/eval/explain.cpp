// csrc/eval/explain.cpp -- the plan behind a convolution, and pictures of the graph
#include <sstream>
#include <unordered_map>
#include <unordered_set>

#include "backend/cpu/run.h"
#include "backend/metal/run.h"
#include "eval/eval_lock.h"
#include "eval/scheduler.h"
#include "graph/node.h"
#include "nhwc/error.h"
#include "nhwc/transforms.h"

namespace nhwc {
namespace {

/// The nodes behind `outputs`, users before inputs by breadth: the nearest come first. Evaluated nodes have no inputs.
std::vector<const Node*> reach(const Arrays& outputs) {
  std::vector<const Node*> found;
  std::unordered_set<const Node*> seen;
  for (const Array& a : outputs)
    if (seen.insert(a.node()).second) found.push_back(a.node());
  for (size_t i = 0; i < found.size(); ++i)
    for (const Array& in : found[i]->inputs)
      if (seen.insert(in.node()).second) found.push_back(in.node());
  return found;
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

std::string describe(const Step& step) {
  if (step.conv.conv) {
    std::string s = "convolution";
    if (step.conv.bias) s += ", bias";
    if (step.conv.residual) s += ", residual";
    if (step.conv.activation != Activation::none) s += ", activation";
    return s + " in one pass";
  }
  const int ops = step.chain.ops;
  std::string s = message("elementwise chain of ", ops, ops == 1 ? " op" : " ops", " in one pass");
  if (std::holds_alternative<Reduce>(step.node->prim)) s += " with its " + name(step.node->prim);
  return s;
}

using Users = std::unordered_map<const Node*, const Node*>;

/// What one step computes, with the last first. Between a convolution and the end of its chain every node has one user.
std::vector<const Node*> nodes_of(const Step& step, const ChainPool& chains, const Users& users) {
  std::vector<const Node*> nodes;
  if (step.conv.conv || std::holds_alternative<Reduce>(step.node->prim)) nodes.push_back(step.node);
  if (step.conv.conv)
    for (const Node* n = step.conv.conv; n != step.node; n = users.at(n)) nodes.push_back(n);
  else
    for (const ChainOp& op : chains.at(step.chain).ops) nodes.push_back(op.node);
  return nodes;
}

}  // namespace

std::string explain(const Array& y) {
  EvalLock inputs_stay;
  std::string chain;
  if (!y.is_ready()) {
    const Schedule& s = schedule({&y, 1});
    if (const Step& last = s.steps.back(); last.chain.ops) chain = describe(last) + "\n";
  }
  for (const Node* n : reach({y}))
    if (const auto* conv = std::get_if<Conv>(&n->prim))
      return chain + (on_gpu(*n) ? metal::explain : cpu::explain)(*conv, *n);
  if (!chain.empty()) return chain;
  raise<ValueError>("[explain] got an array of shape ", to_string(y.shape()), " computed by ", name(y.node()->prim),
                    ", with neither a convolution behind it nor a chain of elementwise operations; expected the "
                    "lazy or computed result of a convolution, or the lazy one of a chain");
}

std::string export_to_dot(const Arrays& outputs, const std::vector<std::string>& names) {
  EvalLock inputs_stay;
  std::ostringstream s;
  s << "digraph {\n  rankdir=TB;\n  node [shape=box, fontname=\"sans-serif\"];\n";
  const std::vector<const Node*> nodes = reach(outputs);
  std::unordered_map<const Node*, size_t> id;
  for (const Node* n : nodes) id.emplace(n, id.size());
  Users users;
  for (const Node* n : nodes) {
    const bool leaf = n->inputs.empty();
    const std::string label = message(leaf ? "array" : name(n->prim), "\n", to_string(n->shape), " ", name(n->dtype));
    s << "  n" << id[n] << " [label=" << quoted(label) << (leaf ? ", shape=ellipse" : "") << "];\n";
    for (const Array& in : n->inputs) {
      s << "  n" << id[in.node()] << " -> n" << id[n] << ";\n";
      users[in.node()] = n;
    }
  }
  const Schedule& plan = schedule(outputs);
  std::unordered_set<const Node*> drawn;  // what several chains compute is drawn in the first
  for (const Step& step : plan.steps) {
    if (!step.chain.ops && !step.conv.conv) continue;
    s << "  subgraph cluster_" << id[step.node] << " {\n    label=" << quoted(describe(step)) << ";\n   ";
    for (const Node* n : nodes_of(step, plan.chains, users))
      if (drawn.insert(n).second) s << " n" << id[n] << ";";
    s << "\n  }\n";
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    const std::string label = i < names.size() ? names[i] : message("output ", i);
    s << "  o" << i << " [label=" << quoted(label) << ", shape=plaintext];\n  n" << id[outputs[i].node()] << " -> o"
      << i << ";\n";
  }
  s << "}\n";
  return s.str();
}

}  // namespace nhwc
