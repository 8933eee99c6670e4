// python/src/indexing.h -- what an index means for an array of some shape
#pragma once

#include "convert.h"

namespace nhwc::py {

/// a[index] in three steps: slice, reshape to `view`, gather along `axes` of it. NumPy's rules throughout.
struct IndexPlan {
  // 1. one entry per axis of the array; an integer is a slice of one element
  Dims start, step;
  Shape count;
  bool slices = false;  // false: everything is taken
  // 2. integer axes dropped, new axes inserted
  Shape view;
  // 3. integer arrays, broadcast together to shape `picked`; kept: the axes of `view` without them
  Arrays indices;
  std::vector<int> axes;
  Shape picked, kept;
  int place = 0;  // the picked axes stand before kept[place] in the result
  Shape result;
};

/// Raises IndexError for integers out of range and too many indices, TypeError for what is no index. Evaluates masks.
IndexPlan plan_index(const Array& a, nb::handle index);

/// The mask where `index` is nothing but one boolean array of one axis or more; else an empty Array.
Array as_mask(nb::handle index);

}  // namespace nhwc::py
