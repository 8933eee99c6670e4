// csrc/backend/metal/chain_source.cpp -- Metal source for a chain of elementwise nodes
#include "backend/metal/chain_source.h"

namespace nhwc::metal {
namespace {

constexpr const char* kTypes[kDtypeCount] = {
#define NHWC_DTYPE(name, type) #type,
#include "instances/dtypes.inc"
    "float"};

const char* stored_type(Dtype t) { return kTypes[static_cast<int>(t)]; }
/// Half types are computed in float32.
const char* held_type(Dtype t) { return is_half(t) ? "float" : stored_type(t); }

/// Gives values that a half type can hold where the operands are such.
bool is_exact(const Primitive& p) {
  if (const auto* unary = std::get_if<Unary>(&p)) {
    using enum UnaryKind;
    const UnaryKind k = unary->kind;
    return k == abs || k == negative || k == sign || k == floor || k == ceil || k == round || k == relu || k == relu6;
  }
  if (const auto* binary = std::get_if<Binary>(&p))
    return binary->kind == BinaryKind::maximum || binary->kind == BinaryKind::minimum;
  return std::holds_alternative<Select>(p);
}

std::string function_of(const Node& n) {
  if (const auto* unary = std::get_if<Unary>(&n.prim)) return std::string("op::") + name(unary->kind);
  if (const auto* binary = std::get_if<Binary>(&n.prim)) return std::string("op::") + name(binary->kind);
  if (std::holds_alternative<Cast>(n.prim)) return std::string("convert<") + held_type(n.dtype) + ">";
  return "op::select";
}

std::string numbered(const char* letter, int i) { return letter + std::to_string(i); }

void add_signature(std::string& s, const ChainKernel& k) {
  int buffer = 0;
  const auto bound = [&] { return " [[buffer(" + std::to_string(buffer++) + ")]], "; };
  s += "[[kernel]] void chain(";
  for (size_t i = 0; i < k.leaves.size(); ++i)
    s += std::string("device const ") + stored_type(k.leaves[i].dtype) + "* x" + std::to_string(i) + bound();
  int results = 0;
  for (const SourceOp& op : k.ops)
    if (op.stored)
      s += std::string("device ") + stored_type(op.node->dtype) + "* " + numbered("y", results++) + bound();
  s += "constant ChainParams& p" + bound() +
       "uint2 at [[thread_position_in_grid]], uint2 grid [[threads_per_grid]]) {\n";
}

/// One value per leaf and op, l0 l1 ... v0 v1 ...
void add_loop(std::string& s, const ChainKernel& k) {
  const auto load = [&](size_t i, const std::string& at) {
    const LeafAccess& leaf = k.leaves[i];
    const char* type = held_type(leaf.dtype);
    const std::string n = std::to_string(i);
    s += std::string("const ") + type + " l" + n + " = " + type + "(x" + n + "[" + at + "]);\n";
  };
  s += "const Share s = share_of(at, grid, p.size, " + std::to_string(k.per_thread) + ");\n";
  s += "if (s.count == 0) return;\n";
  for (size_t i = 0; i < k.leaves.size(); ++i)
    if (k.leaves[i].slot == LeafAccess::kOne) load(i, "0");
  if (k.slots)
    s += std::string("Walk<") + (k.wide ? "long, " : "int, ") + std::to_string(k.slots) +
         ", ChainParams> walk(p, s.first);\n";
  s += "for (ulong e = s.first; e < s.first + s.count; ++e) {\n";
  for (size_t i = 0; i < k.leaves.size(); ++i) {
    const int slot = k.leaves[i].slot;
    if (slot != LeafAccess::kOne) load(i, slot == LeafAccess::kDense ? "e" : "walk.at[" + std::to_string(slot) + "]");
  }
  if (k.slots) s += "walk.next();\n";
  int results = 0;
  for (size_t i = 0; i < k.ops.size(); ++i) {
    const SourceOp& op = k.ops[i];
    const Dtype t = op.node->dtype;
    std::string value = function_of(*op.node) + "(";
    for (size_t j = 0; j < op.node->inputs.size(); ++j)
      value += (j ? ", " : "") + numbered(op.operands[j].leaf ? "l" : "v", op.operands[j].index);
    value += ")";
    // Rounded after every op, as if it were stored.
    if (is_half(t) && !is_exact(op.node->prim)) value = std::string("float(") + stored_type(t) + "(" + value + "))";
    s += std::string("const ") + held_type(t) + " " + numbered("v", static_cast<int>(i)) + " = " + value + ";\n";
    if (op.stored)
      s += numbered("y", results++) + "[e] = " + stored_type(t) + "(" + numbered("v", static_cast<int>(i)) + ");\n";
  }
  s += "}\n}\n";
}

}  // namespace

std::string source_of(const ChainKernel& k) {
  // In the order of the host's words, see ChainParams of chain.cpp.
  std::string s = "struct ChainParams {\n  long size;\n  long ndim;\n";
  if (k.slots) {
    const std::string axes = std::to_string(k.axes), slots = std::to_string(k.slots);
    s += "  long shape[" + axes + "];\n  long strides[" + slots + "][" + axes + "];\n  long first[" + slots + "];\n";
  }
  s += "};\n";
  add_signature(s, k);
  add_loop(s, k);
  return s;
}

}  // namespace nhwc::metal
