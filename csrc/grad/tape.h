// csrc/grad/tape.h -- the part of a graph that a derivative flows through
#pragma once

#include <unordered_map>
#include <vector>

#include "graph/node.h"

namespace nhwc {

enum class Direction { forward, reverse };

/// The nodes that depend differentiably on the sources and that the outputs depend on: sources first, inputs before
/// users.
class Tape {
 public:
  /// `since` is the id of the TraceScope in which the sources were made: nothing older can depend on them.
  Tape(const Arrays& sources, const Arrays& outputs, uint64_t since, Direction direction);

  const std::vector<Node*>& nodes() const { return nodes_; }
  /// How many of nodes() are sources.
  size_t sources() const { return sources_; }
  /// Place in nodes(), or -1 for an array that is not on the tape.
  int position(const Array& a) const {
    auto it = position_.find(a.node());
    return it == position_.end() ? -1 : it->second;
  }
  bool has(const Array& a) const { return position(a) >= 0; }

 private:
  std::vector<Node*> nodes_;
  size_t sources_;
  std::unordered_map<const Node*, int> position_;  // -1: seen, and does not depend on the sources
};

}  // namespace nhwc
