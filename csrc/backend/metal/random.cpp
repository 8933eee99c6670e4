// csrc/backend/metal/random.cpp -- RandomBits by Threefry2x32 and Arange on the GPU: arrays made of nothing
#include "params/random.h"
#include "backend/metal/axes.h"
#include "backend/metal/lay_out.h"
#include "backend/metal/run.h"

namespace nhwc::metal {

void run(const RandomBits& p, Node& n) {
  const Node& keys = *n.inputs[0].node();
  allocate_output(n);
  const int64_t count = size_of(keys.shape) / 2, total = size_of(n.shape);
  if (total == 0) return;
  RandomParams r{};
  r.keys = count;
  r.bytes = total / count * p.width;
  const int64_t words = (r.bytes + 3) / 4;
  r.half_words = words / 2;
  r.odd = static_cast<int32_t>(words % 2);
  Launch launch("random", "random_bits");
  launch.constant(0, r.bytes % 4 == 0);
  const Source words_of(keys);
  r.first = words_of.first;
  r.axes_count = fill_axes(r.axes, collapse(keys.shape, {&keys.strides}));
  launch.constant(1, is_wide(2 * count));
  launch.in(words_of.low, words_of.bytes).out(n).params(r);
  run_threads(launch, count * (r.half_words + r.odd));
}

void run(const Arange& p, Node& n) {
  allocate_output(n);
  if (size_of(n.shape) == 0) return;
  ArangeParams a{};
  a.size = size_of(n.shape);
  a.start = p.istart;
  a.step = p.istep;
  a.start_high = static_cast<float>(p.start);
  a.start_low = static_cast<float>(p.start - static_cast<double>(a.start_high));
  a.step_high = static_cast<float>(p.step);
  a.step_low = static_cast<float>(p.step - static_cast<double>(a.step_high));
  Launch launch("random", std::string("arange_") + short_name(n.dtype));
  launch.out(n).params(a);
  run_elements(launch, a.size, size_of(n.dtype));
}

}  // namespace nhwc::metal
