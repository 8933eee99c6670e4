// tests/eval/test_update.cpp -- an optimizer's step as one node: in place, and never half done
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "nhwc/nhwc.h"
#include "ops/update.h"

using namespace nhwc;

namespace {

/// w - rate * g for every parameter, as one node.
Arrays sgd(float rate, const Arrays& gradients, const Arrays& parameters) {
  auto call = std::make_shared<UpdateCall>();
  call->rule = UpdateRule::sgd;
  call->constants[0] = 0;
  call->count = parameters.size();
  NodeInputs inputs;
  inputs.push_back(Array(rate));
  for (size_t i = 0; i < parameters.size(); ++i) {
    inputs.push_back(gradients[i]);
    inputs.push_back(parameters[i]);
  }
  return update(call, std::move(inputs));
}

Array filled(int64_t size, float value) {
  Array a = broadcast_to(Array(value), {size}) + Array(0.0f);
  eval({a});
  return a;
}

bool all_are(const Array& a, float value) { return array_equal(a, broadcast_to(Array(value), a.shape())).item() != 0; }

}  // namespace

TEST_CASE("an update takes the storage of what dies with it, and of nothing else") {
  const Arrays g{filled(1000, 1.0f), filled(7, 2.0f)};
  Arrays w{filled(1000, 1.0f), filled(7, 1.0f)};
  const Array held = w[1];
  const void* first = w[0].data();
  const void* second = w[1].data();
  Arrays y = sgd(0.25f, g, std::exchange(w, {}));
  eval(y);
  CHECK(y[0].data() == first);
  CHECK(y[1].data() != second);
  CHECK(all_are(y[0], 0.75f));
  CHECK(all_are(y[1], 0.5f));
  CHECK(all_are(held, 1.0f));
}

TEST_CASE("an update that is under way is not interrupted: it overwrites its own inputs") {
  static std::atomic<bool> stop;
  const Arrays g{filled(1 << 23, 1.0f)};
  Arrays w{filled(1 << 23, 1.0f)};
  Arrays y = sgd(0.25f, g, std::exchange(w, {}));
  const int before = num_threads();
  set_num_threads(1);  // else others might do it all before this thread, the one that is asked, gets to run
  stop = true;
  set_interrupt_check([] { return stop.load(); });
  std::this_thread::sleep_for(std::chrono::milliseconds(60));
  try {
    eval(y);
  } catch (const Interrupted&) {
  }
  stop = false;
  set_interrupt_check(nullptr);
  set_num_threads(before);
  eval(y);
  CHECK(all_are(y[0], 0.75f));
}
