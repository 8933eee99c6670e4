// python/src/tree.cpp -- trees of arrays: lists, tuples and dicts, nested
#include "tree.h"

#include <cstring>

namespace nhwc::py {
namespace {

// One level of recursion: a tree that holds itself raises RecursionError.
class Deeper {
 public:
  Deeper() {
    if (Py_EnterRecursiveCall(" in a tree of arrays")) throw nb::python_error();
  }
  ~Deeper() { Py_LeaveRecursiveCall(); }
  Deeper(const Deeper&) = delete;
  Deeper& operator=(const Deeper&) = delete;
};

// A namedtuple stays one.
nb::object same_tuple_type(nb::handle tuple, const nb::list& items) {
  if (nb::hasattr(tuple, "_fields")) return nb::borrow(tuple.type())(*nb::tuple(items));
  return nb::tuple(items);
}

// Calls f on every item of a list, tuple or dict; false for anything else.
template <class F>
bool for_each_child(nb::handle tree, const F& f) {
  PyObject* o = tree.ptr();
  if (PyList_Check(o)) {
    for (Py_ssize_t i = 0; i < PyList_Size(o); ++i) f(nb::handle(PyList_GetItem(o, i)));
  } else if (PyTuple_Check(o)) {
    for (Py_ssize_t i = 0; i < PyTuple_Size(o); ++i) f(nb::handle(PyTuple_GetItem(o, i)));
  } else if (PyDict_Check(o)) {
    PyObject *k, *v;
    Py_ssize_t at = 0;
    while (PyDict_Next(o, &at, &k, &v)) f(nb::handle(v));
  } else {
    return false;
  }
  return true;
}

template <class T>
void append_bytes(std::string& key, const T& v) {
  key.append(reinterpret_cast<const char*>(&v), sizeof v);
}

void append_text(std::string& key, std::string_view text) {
  append_bytes(key, text.size());
  key += text;
}

void append_array(const Array& a, std::string& key) {
  key += 'a';
  key += static_cast<char>(a.dtype());
  append_bytes(key, a.shape().size());
  for (int64_t d : a.shape()) append_bytes(key, d);
}

// A leaf that is no array is a constant of the trace: its value belongs to the key. Its type too: 1, 1.0 and True
// differ.
bool append_constant(nb::handle leaf, std::string& key) {
  PyObject* o = leaf.ptr();
  if (leaf.is_none()) {
    key += 'n';
  } else if (PyBool_Check(o)) {
    key += o == Py_True ? 't' : 'f';
  } else if (PyFloat_CheckExact(o)) {
    key += 'd';
    append_bytes(key, PyFloat_AsDouble(o));
  } else if (PyUnicode_CheckExact(o) || PyLong_Check(o) || PyFloat_Check(o) || PyUnicode_Check(o) || PyBytes_Check(o)) {
    key += 'c';
    append_text(key, python_type(leaf));
    append_text(key, nb::cast<std::string>(nb::repr(leaf)));
  } else if (PyCallable_Check(o) || as_dtype(leaf)) {
    key += 'i';
    append_bytes(key, o);
  } else {
    return false;
  }
  return true;
}

void append_dict_key(nb::handle k, std::string& key) {
  const bool text = PyUnicode_CheckExact(k.ptr());
  key += text ? 's' : 'k';
  append_text(key, text ? nb::cast<std::string>(k) : python_type(k) + nb::cast<std::string>(nb::repr(k)));
}

}  // namespace

void flatten_tree(nb::handle tree, Arrays& out) {
  if (const Array* a = as_array(tree)) {
    out.push_back(*a);
    return;
  }
  Deeper deeper;
  for_each_child(tree, [&](nb::handle child) { flatten_tree(child, out); });
}

void flatten_tree(nb::handle tree, Arrays& out, std::string& key, OtherLeaves other) {
  if (const Array* a = as_array(tree)) {
    out.push_back(*a);
    append_array(*a, key);
    return;
  }
  Deeper deeper;
  PyObject* o = tree.ptr();
  if (PyDict_Check(o)) {
    key += '{';
    append_bytes(key, PyDict_Size(o));
    PyObject *k, *v;
    Py_ssize_t at = 0;
    while (PyDict_Next(o, &at, &k, &v)) {
      append_dict_key(k, key);
      flatten_tree(v, out, key, other);
    }
  } else if (PyList_Check(o) || PyTuple_Check(o)) {
    key += PyList_Check(o) ? '[' : '(';
    append_bytes(key, PyObject_Size(o));
    for_each_child(tree, [&](nb::handle child) { flatten_tree(child, out, key, other); });
  } else if (!append_constant(tree, key)) {
    if (other == OtherLeaves::refuse)
      throw nb::type_error(
          message("[compile] arguments may hold arrays, numbers, strings, None and functions in lists, "
                  "tuples and dicts; got ",
                  python_type(tree))
              .c_str());
    key += '?';
  }
}

nb::object rebuild_tree(nb::handle tree, const Arrays& arrays, size_t& at) {
  Deeper deeper;
  if (as_array(tree)) {
    const Array& a = arrays[at++];
    return a ? wrap(a) : nb::none();
  }
  PyObject* o = tree.ptr();
  if (PyList_Check(o)) {
    nb::list out;
    for_each_child(tree, [&](nb::handle child) { out.append(rebuild_tree(child, arrays, at)); });
    return out;
  }
  if (PyTuple_Check(o)) {
    nb::list items;
    for_each_child(tree, [&](nb::handle child) { items.append(rebuild_tree(child, arrays, at)); });
    return same_tuple_type(tree, items);
  }
  if (PyDict_Check(o)) {
    nb::dict out;
    PyObject *k, *v;
    Py_ssize_t pos = 0;
    while (PyDict_Next(o, &pos, &k, &v)) out[nb::handle(k)] = rebuild_tree(v, arrays, at);
    return out;
  }
  return nb::borrow(tree);
}

namespace {

// `tree` with its arrays replaced: lists and dicts in place, tuples that hold arrays by new ones.
nb::object filled(nb::handle tree, const Arrays& arrays, size_t& at) {
  Deeper deeper;
  PyObject* o = tree.ptr();
  if (as_array(tree)) return rebuild_tree(tree, arrays, at);
  if (PyList_Check(o)) {
    for (Py_ssize_t i = 0; i < PyList_Size(o); ++i) {
      nb::object item = filled(PyList_GetItem(o, i), arrays, at);
      if (item.ptr() != PyList_GetItem(o, i)) PyList_SetItem(o, i, item.release().ptr());
    }
  } else if (PyDict_Check(o)) {
    PyObject *k, *v;
    Py_ssize_t pos = 0;
    while (PyDict_Next(o, &pos, &k, &v)) {  // replacing the value of a key that is there keeps the walk valid
      nb::object item = filled(v, arrays, at);
      if (item.ptr() != v) PyDict_SetItem(o, k, item.ptr());
    }
  } else if (PyTuple_Check(o)) {
    nb::list items;
    bool changed = false;
    for_each_child(tree, [&](nb::handle child) {
      items.append(filled(child, arrays, at));
      changed |= nb::object(items[nb::len(items) - 1]).ptr() != child.ptr();
    });
    if (changed) return same_tuple_type(tree, items);
  }
  return nb::borrow(tree);
}

}  // namespace

bool can_fill(nb::handle tree) {
  bool can = !as_array(tree);
  if (PyTuple_Check(tree.ptr())) for_each_child(tree, [&](nb::handle child) { can &= can_fill(child); });
  return can;
}

void fill_tree(nb::handle tree, const Arrays& arrays, size_t& at) { filled(tree, arrays, at); }

SharedObject::SharedObject(nb::object o)
    : held_(o.release().ptr(), [](PyObject* p) {
        if (!Py_IsInitialized()) return;
        nb::gil_scoped_acquire gil;
        Py_DECREF(p);
      }) {}

}  // namespace nhwc::py
