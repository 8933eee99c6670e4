// python/src/tree.cpp -- trees of arrays: lists, tuples and dicts, nested
#include "tree.h"

#include <cstring>

namespace nhwc::py {
namespace {

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
void append_constant(nb::handle leaf, std::string& key) {
  const bool plain = leaf.is_none() || PyBool_Check(leaf.ptr()) || PyLong_Check(leaf.ptr()) ||
                     PyFloat_Check(leaf.ptr()) || PyUnicode_Check(leaf.ptr());
  if (plain) {
    key += 'c';
    append_text(key, python_type(leaf));
    append_text(key, nb::cast<std::string>(nb::repr(leaf)));
  } else if (PyCallable_Check(leaf.ptr()) || as_dtype(leaf)) {
    key += 'i';
    append_bytes(key, leaf.ptr());
  } else {
    throw nb::type_error(
        ("[compile] arguments may hold arrays, numbers, strings, None and functions in lists, tuples and dicts; got " +
         python_type(leaf))
            .c_str());
  }
}

void append_key(nb::handle k, std::string& key) {
  Py_ssize_t n = 0;
  const char* text = PyUnicode_Check(k.ptr()) ? PyUnicode_AsUTF8AndSize(k.ptr(), &n) : nullptr;
  if (text)
    append_text(key, {text, static_cast<size_t>(n)});
  else
    append_text(key, nb::cast<std::string>(nb::repr(k)));
}

}  // namespace

void flatten_tree(nb::handle tree, Arrays& out) {
  if (const Array* a = as_array(tree))
    out.push_back(*a);
  else
    for_each_child(tree, [&](nb::handle child) { flatten_tree(child, out); });
}

void flatten_tree(nb::handle tree, Arrays& out, std::string& key) {
  if (const Array* a = as_array(tree)) {
    out.push_back(*a);
    append_array(*a, key);
    return;
  }
  PyObject* o = tree.ptr();
  if (PyDict_Check(o)) {
    key += '{';
    PyObject *k, *v;
    Py_ssize_t at = 0;
    while (PyDict_Next(o, &at, &k, &v)) {
      append_key(k, key);
      flatten_tree(v, out, key);
    }
    key += '}';
    return;
  }
  const size_t open = key.size();
  key += PyList_Check(o) ? '[' : '(';
  if (for_each_child(tree, [&](nb::handle child) { flatten_tree(child, out, key); })) {
    key += ')';
  } else {
    key.resize(open);
    append_constant(tree, key);
  }
}

nb::object rebuild_tree(nb::handle tree, const Arrays& arrays, size_t& at) {
  if (as_array(tree)) return wrap(arrays[at++]);
  PyObject* o = tree.ptr();
  if (PyList_Check(o)) {
    nb::list out;
    for_each_child(tree, [&](nb::handle child) { out.append(rebuild_tree(child, arrays, at)); });
    return out;
  }
  if (PyTuple_Check(o)) {
    nb::list items;
    for_each_child(tree, [&](nb::handle child) { items.append(rebuild_tree(child, arrays, at)); });
    if (nb::hasattr(tree, "_fields")) return nb::borrow(tree.type())(*nb::tuple(items));  // a namedtuple stays one
    return nb::tuple(items);
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

void fill_tree(nb::handle tree, const Arrays& arrays, size_t& at) {
  PyObject* o = tree.ptr();
  auto fresh = [&]() { return wrap(arrays[at++]); };
  if (PyList_Check(o)) {
    for (Py_ssize_t i = 0; i < PyList_Size(o); ++i) {
      nb::handle child = PyList_GetItem(o, i);
      if (as_array(child))
        PyList_SetItem(o, i, fresh().release().ptr());
      else
        fill_tree(child, arrays, at);
    }
  } else if (PyDict_Check(o)) {
    PyObject *k, *v;
    Py_ssize_t pos = 0;
    while (PyDict_Next(o, &pos, &k, &v)) {  // replacing the value of a key that is there keeps the walk valid
      if (as_array(v))
        PyDict_SetItem(o, k, fresh().ptr());
      else
        fill_tree(v, arrays, at);
    }
  } else if (PyTuple_Check(o)) {
    for_each_child(tree, [&](nb::handle child) {
      if (as_array(child))
        throw nb::type_error(
            "[compile] captured arrays must sit in lists or dicts, which can be updated; got one in a tuple");
      fill_tree(child, arrays, at);
    });
  } else if (as_array(tree)) {
    throw nb::type_error(
        "[compile] captured arrays must sit in lists or dicts, which can be updated; got an array itself");
  }
}

SharedObject::SharedObject(nb::object o)
    : held_(o.release().ptr(), [](PyObject* p) {
        if (!Py_IsInitialized()) return;
        nb::gil_scoped_acquire gil;
        Py_DECREF(p);
      }) {}

}  // namespace nhwc::py
