// csrc/backend/cpu/sort.cpp -- Sort: values or their order along one axis; stable, NaN last
#include <algorithm>
#include <numeric>

#include "backend/cpu/run.h"
#include "backend/cpu/strided.h"
#include "base/thread_pool.h"
#include "base/visit_dtype.h"

namespace nhwc::cpu {
namespace {

template <class T>
bool before(T a, T b) {
  const auto x = static_cast<Compute<T>>(a), y = static_cast<Compute<T>>(b);
  if constexpr (std::is_floating_point_v<Compute<T>>)
    return x < y || (x == x && y != y);
  else
    return x < y;
}

Dims moved_last(Dims d, int axis) {
  const int64_t v = d[static_cast<size_t>(axis)];
  d.erase(static_cast<size_t>(axis));
  d.push_back(v);
  return d;
}

}  // namespace

void run(const Sort& p, Node& n, bool) {
  const Node& x = *n.inputs[0].node();
  allocate_output(n);
  const int64_t total = size_of(x.shape);
  if (total == 0) return;
  const Shape shape = moved_last(x.shape, p.axis);
  const Scratch in(static_cast<size_t>(total) * size_of(x.dtype));  // rows along the axis
  copy_strided(in.as<char>(), contiguous_strides(shape), x.data(), moved_last(x.strides, p.axis), shape,
               size_of(x.dtype));
  const int64_t width = shape.back();
  const Scratch order(p.indices ? static_cast<size_t>(total) * sizeof(uint32_t) : 0);
  visit_dtype(x.dtype, [&]<class T>(T*) {
    auto values = in.as<T>();
    parallel_for(total / width, std::max<int64_t>(1, 4096 / width), [&](int64_t b, int64_t e) {
      for (int64_t r = b; r < e; ++r) {
        T* row = values + r * width;
        if (!p.indices) {
          std::stable_sort(row, row + width, before<T>);
          continue;
        }
        uint32_t* at = order.as<uint32_t>() + r * width;
        std::iota(at, at + width, 0u);
        std::stable_sort(at, at + width, [row](uint32_t i, uint32_t j) { return before(row[i], row[j]); });
      }
    });
  });
  copy_strided(n.data(), moved_last(n.strides, p.axis), p.indices ? order.as<char>() : in.as<char>(),
               contiguous_strides(shape), shape, size_of(n.dtype));
}

}  // namespace nhwc::cpu
