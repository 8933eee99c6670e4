// csrc/graph/node.cpp -- making, sharing and destroying nodes
#include "graph/node.h"

#include "graph/trace_scope.h"
#include "nhwc/error.h"

namespace nhwc {

namespace {

// Frees a node and everything that only it kept alive. A list instead of recursion: a graph may be 200,000 deep.
void destroy(Node* first) {
  thread_local Node** pending = nullptr;
  if (pending) {  // a destructor further up this thread's stack is working the list off
    first->next_dead = *pending;
    *pending = first;
    return;
  }
  Node* list = first;
  pending = &list;
  while (Node* n = list) {
    list = n->next_dead;
    delete n;  // releases its inputs, which come back here and are listed
  }
  pending = nullptr;
}

void release(Node* n) {
  if (n && n->refs.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy(n);
}

const Node& evaluated(const Array& a) {
  if (!a.node()->is_ready()) evaluate(a);
  return *a.node();
}

}  // namespace

Array::Array(const Array& o) : n_(o.n_) {
  if (n_) n_->refs.fetch_add(1, std::memory_order_relaxed);
}
Array& Array::operator=(const Array& o) {
  if (o.n_) o.n_->refs.fetch_add(1, std::memory_order_relaxed);
  release(std::exchange(n_, o.n_));
  return *this;
}
Array::~Array() { release(n_); }

const Shape& Array::shape() const { return n_->shape; }
int64_t Array::shape(int axis) const { return n_->shape[axis < 0 ? axis + n_->shape.size() : axis]; }
int Array::ndim() const { return static_cast<int>(n_->shape.size()); }
int64_t Array::size() const { return size_of(n_->shape); }
size_t Array::nbytes() const { return static_cast<size_t>(size()) * size_of(n_->dtype); }
Dtype Array::dtype() const { return n_->dtype; }
bool Array::is_ready() const { return n_->is_ready(); }
const void* Array::data() const { return evaluated(*this).data(); }
const Strides& Array::strides() const { return evaluated(*this).strides; }

bool on_gpu(const Node& n) { return stream_on_gpu(n.stream); }

namespace {

void refuse_float64(const Node& n) {
  bool wide = n.dtype == Dtype::float64;
  for (const Array& i : n.inputs) wide |= i.dtype() == Dtype::float64;
  if (wide && !std::holds_alternative<Data>(n.prim) && !std::holds_alternative<Placeholder>(n.prim))
    raise<ValueError>("[", name(n.prim),
                      "] float64 is not supported on the GPU; use stream=nhwc.cpu, or cast to float32 there");
}

Array new_node(Primitive&& prim, Shape&& shape, Dtype dtype, NodeInputs&& inputs, int stream) {
  Node* n = new Node(std::move(prim), std::move(shape), dtype, std::move(inputs), stream);
  Array a(n);
  if (on_gpu(*n)) refuse_float64(*n);
  if (tracing()) {
    bool traced = tracing_everything();
    for (const Array& i : n->inputs) traced |= i.node()->tracer();
    if (traced) n->trace = current_trace();
  }
  return a;
}

}  // namespace

Array make_node(Primitive&& prim, Shape shape, Dtype dtype, NodeInputs inputs, int stream) {
  return new_node(std::move(prim), std::move(shape), dtype, std::move(inputs), stream);
}
Array make_node(Primitive&& prim, Shape shape, Dtype dtype, NodeInputs inputs) {
  return new_node(std::move(prim), std::move(shape), dtype, std::move(inputs), current_stream());
}

bool is_row_major(const Shape& shape, const Strides& strides) {
  int64_t expect = 1;
  for (int i = static_cast<int>(shape.size()) - 1; i >= 0; --i) {
    if (shape[i] == 0) return true;
    if (shape[i] != 1 && strides[i] != expect) return false;
    expect *= shape[i];
  }
  return true;
}

void allocate_output(Node& n) {
  size_t bytes = 0;
  if (__builtin_mul_overflow(static_cast<size_t>(size_of(n.shape)), size_of(n.dtype), &bytes))
    raise<MemoryError>("an array of shape ", to_string(n.shape), " and type ", name(n.dtype), " does not fit 64 bits");
  n.buffer = allocate(bytes);
  n.offset = 0;
  n.strides = contiguous_strides(n.shape);
  n.row_major = true;
}

void share_storage(Node& n, const Node& of, Strides strides, int64_t offset_bytes) {
  n.buffer = of.buffer;
  n.offset = offset_bytes;
  n.strides = std::move(strides);
  n.row_major = is_row_major(n.shape, n.strides);
}

}  // namespace nhwc
