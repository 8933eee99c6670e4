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

/// One part of an index.
struct IndexEntry {
  enum Kind { integer, slice, new_axis, ellipsis, array } kind;
  int64_t value = 0;  // integer
  nb::handle object;  // slice; borrowed from the index
  Array values = {};  // array: integers, or a mask
  bool mask() const { return values.dtype() == Dtype::bool_; }
  int consumes() const;  // axes of the indexed array
};
using IndexEntries = std::vector<IndexEntry>;

/// TypeError for what is no index.
IndexEntries read_index(nb::handle index);
/// IndexError for integers out of range and too many indices. Evaluates masks.
IndexPlan plan_index(const Array& a, IndexEntries entries);

}  // namespace nhwc::py
