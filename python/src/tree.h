// python/src/tree.h -- trees of arrays: lists, tuples and dicts, nested
#pragma once

#include <memory>
#include <string>

#include "convert.h"

namespace nhwc::py {

/// Appends the arrays of a tree in order: items of lists and tuples, values of dicts in their own order. Other leaves
/// are passed over.
void flatten_tree(nb::handle tree, Arrays& out);
/// Other leaves of a tree that makes a key: those that cannot be part of one raise TypeError, or are passed over.
enum class OtherLeaves { refuse, pass };
/// The same, and appends to `key` what tells two trees apart but for the arrays' values: structure, dict keys, shapes,
/// dtypes, and the other leaves themselves. Functions and classes count by identity: keep them while the key is in use.
void flatten_tree(nb::handle tree, Arrays& out, std::string& key, OtherLeaves other);
/// A copy of the tree with its arrays replaced, in the same order, from arrays[at] on; None where there is no array.
nb::object rebuild_tree(nb::handle tree, const Arrays& arrays, size_t& at);
/// Whether fill_tree can replace every array: none stands alone, or in tuples only.
bool can_fill(nb::handle tree);
/// Replaces the arrays inside the lists and dicts of the tree itself.
void fill_tree(nb::handle tree, const Arrays& arrays, size_t& at);

/// A Python object that may be released on any thread.
class SharedObject {
 public:
  explicit SharedObject(nb::object o);
  nb::handle get() const { return held_.get(); }
  explicit operator bool() const { return held_ != nullptr; }  // false once moved from

 private:
  std::shared_ptr<PyObject> held_;
};

}  // namespace nhwc::py
