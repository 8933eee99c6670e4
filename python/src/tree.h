// python/src/tree.h -- trees of arrays: lists, tuples and dicts, nested
#pragma once

#include <memory>
#include <string>

#include "convert.h"

namespace nhwc::py {

/// Appends the arrays of a tree in order: items of lists and tuples, values of dicts in their own order. Other leaves
/// are passed over.
void flatten_tree(nb::handle tree, Arrays& out);
/// The same, and appends to `key` what tells two trees apart but for the arrays' values: structure, dict keys, shapes,
/// dtypes, and the other leaves themselves. TypeError for a leaf that cannot be part of a key.
void flatten_tree(nb::handle tree, Arrays& out, std::string& key);
/// A copy of the tree with its arrays replaced, in the same order, from arrays[at] on.
nb::object rebuild_tree(nb::handle tree, const Arrays& arrays, size_t& at);
/// Replaces the arrays inside the lists and dicts of the tree itself. TypeError where an array sits in a tuple or
/// stands alone.
void fill_tree(nb::handle tree, const Arrays& arrays, size_t& at);

/// A Python object that may be released on any thread.
class SharedObject {
 public:
  explicit SharedObject(nb::object o);
  nb::handle get() const { return held_.get(); }

 private:
  std::shared_ptr<PyObject> held_;
};

}  // namespace nhwc::py
