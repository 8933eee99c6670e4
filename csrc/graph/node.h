// csrc/graph/node.h -- a node of the graph: how an array is computed and, once evaluated, where its values are
#pragma once

#include <atomic>

#include "base/allocator.h"
#include "graph/primitives.h"
#include "nhwc/array.h"

namespace nhwc {

/// Identifies the innermost TraceScope on this thread; 0 where there is none. The bits above kScopeBits are those of
/// the outermost scope; below, scopes are numbered in the order in which they began.
uint64_t current_trace();
inline constexpr int kScopeBits = 24;

using NodeInputs = InlineVec<Array, 3>;
/// {a, b} would count the references twice.
inline NodeInputs inputs_of(Array a, Array b) {
  NodeInputs in;
  in.push_back(std::move(a));
  in.push_back(std::move(b));
  return in;
}

/// Shape, dtype, primitive and inputs never change while others can see the node, but for one transition under the eval
/// lock: lazy -> ready, when the storage fields become valid and, unless a trace still needs them, the inputs are let
/// go.
struct Node {
  Node() = default;
  Node(Primitive&& p, Shape&& s, Dtype t, NodeInputs&& in, int on)
      : dtype(t), stream(static_cast<uint16_t>(on)), shape(std::move(s)), prim(std::move(p)), inputs(std::move(in)) {}

  std::atomic<uint32_t> refs{1};
  std::atomic<bool> ready{false};
  bool recomputed = false;  // the scheduler's own: chains compute it again, so its inputs stay until they have run
  uint64_t trace = 0;       // the TraceScope it was traced in; 0: none
  bool row_major = false;   // once ready
  Dtype dtype = Dtype::float32;
  uint16_t stream = 0;  // index of the stream it runs on
  uint32_t mark = 0;    // this and the next: the scheduler's own, under the eval lock
  uint64_t chain = 0;
  Node* next_dead = nullptr;  // while nodes are destroyed: a list
  Shape shape;
  Primitive prim;
  NodeInputs inputs;
  // once ready
  BufferRef buffer;
  int64_t offset = 0;  // bytes from the buffer's beginning to the first element
  Strides strides;     // in elements

  char* data() const { return static_cast<char*>(buffer->data) + offset; }
  /// Part of a transformation that runs on this thread: it keeps its inputs when it is evaluated. The inputs of any
  /// other node may be let go by another thread's evaluation at any time, so only the scheduler reads them.
  bool tracer() const { return trace != 0 && (trace ^ current_trace()) >> kScopeBits == 0; }
  bool is_ready() const { return ready.load(std::memory_order_acquire); }
};

/// A lazy node. Flagged as tracer where a transformation runs on this thread and an input is one.
Array make_node(Primitive&& prim, Shape shape, Dtype dtype, NodeInputs inputs, int stream);
Array make_node(Primitive&& prim, Shape shape, Dtype dtype, NodeInputs inputs);  // on the stream of the current scope

/// Whether it is computed on the GPU.
bool on_gpu(const Node& n);

/// A handle to a node that others keep alive.
inline Array array_of(Node* n) {
  n->refs.fetch_add(1, std::memory_order_relaxed);
  return Array(n);
}

/// New uninitialised row-major storage for `n`, MemoryError naming the size.
void allocate_output(Node& n);
/// Makes `n` a view of `of`'s storage.
void share_storage(Node& n, const Node& of, Strides strides, int64_t offset_bytes);
bool is_row_major(const Shape& shape, const Strides& strides);

/// Makes `a` ready. Declared here for Array::data(), defined in eval/: graph/ knows nothing else of it.
void evaluate(const Array& a);

}  // namespace nhwc
