// csrc/graph/trace_scope.h -- which transformations run on this thread, and the current stream
#pragma once

#include "nhwc/array.h"

namespace nhwc {

/// While one lives, nodes computed from tracers are tracers. With `everything`, every node made is one: compile wants
/// the constants' computations too.
class TraceScope {
 public:
  explicit TraceScope(bool everything = false);
  ~TraceScope();
  TraceScope(const TraceScope&) = delete;
  TraceScope& operator=(const TraceScope&) = delete;
  /// Tracers made while it lives, in scopes inside it too, have a Node::trace of at least this; older ones have less.
  uint64_t id() const { return id_; }

 private:
  bool everything_, everything_before_;
  uint64_t id_before_, id_;
};
bool tracing();             // any scope on this thread
bool tracing_everything();  // one with `everything`
bool transforming();        // one without: its tape needs rules of its nodes

/// Nodes that are made while it lives go on this stream.
class StreamScope {
 public:
  explicit StreamScope(const Stream& s);
  ~StreamScope();
  StreamScope(const StreamScope&) = delete;
  StreamScope& operator=(const StreamScope&) = delete;

 private:
  int before_;
};
/// The stream of the innermost StreamScope, else the default stream of the default device.
int current_stream();
/// Whether the stream with this index is the GPU's.
bool stream_on_gpu(int index);
Stream stream_of(int index);
int stream_count();

/// A copy of `x` that is a tracer: the argument with which a transformation calls the user's function. Needs a
/// TraceScope.
Array make_tracer(const Array& x);
/// A tracer without a value.
Array make_placeholder(const Shape& shape, Dtype dtype);

/// The tracer nodes made since the scope `since` began (see TraceScope::id) that `outputs` are computed from, inputs
/// before users. Iterative: any depth.
std::vector<Node*> tape_of(const Arrays& outputs, uint64_t since = 0);

}  // namespace nhwc
