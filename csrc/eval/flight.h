// csrc/eval/flight.h -- nodes that were given to the GPU and have no values yet
#pragma once

#include <functional>
#include <vector>

#include "graph/node.h"

namespace nhwc {

/// Of one evaluation. A node becomes ready when its batch has finished; until then only steps of this evaluation use
/// it. Under the eval lock.
class Flight {
 public:
  /// done(n) is called for a node whose values are there, lost(n) for one that did not get them.
  Flight(std::function<void(Node&)> done, std::function<void(Node&)> lost)
      : done_(std::move(done)), lost_(std::move(lost)) {}
  /// Waits for what is left. What had finished is ready; errors are forgotten with the nodes they hit.
  ~Flight();
  Flight(const Flight&) = delete;
  Flight& operator=(const Flight&) = delete;

  /// Steps that are encoded from now on go on the queue of n's stream, after all that was encoded before.
  void begin(const Node& n);
  /// n was encoded.
  void add(Node& n);
  /// Waits until everything is ready. Raises the first error; its node and those after it stay lazy.
  void land();

 private:
  struct Entry {
    Array node;
    int queue;
    uint64_t batch;  // 0: not committed
    std::vector<BufferRef> kept;
    std::vector<std::function<void()>> checks;
    size_t scratch;  // bytes that the step allocated beside its result
  };
  void commit();
  /// Takes the first `count` entries as finished: all of them ready, or from the first failing one on lost.
  void finish(size_t count);
  void lose_all();

  std::function<void(Node&)> done_, lost_;
  std::vector<Entry> entries_;
  int queue_ = -1;  // of the steps that are not committed
  size_t uncommitted_ = 0, bytes_ = 0;
  size_t scratch_ = 0;  // of all entries
};

}  // namespace nhwc
