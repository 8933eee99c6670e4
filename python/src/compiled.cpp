// python/src/compiled.cpp -- what compile returns: a function that is traced once per kind of arguments and then
// replayed
#include "compiled.h"

#include <unordered_map>

#include "nhwc/transforms.h"
#include "tree.h"

namespace nhwc::py {
namespace {

/// One trace, and what the function returned when it was traced.
struct Traced {
  std::shared_ptr<const CompiledTrace> trace;
  SharedObject result;     // the returned tree; its arrays are the trace's and only mark places
  SharedObject constants;  // the arguments: what is in the key by identity lives as long as the key
  size_t results = 0;      // arrays in `result`; the rest are those of the captured outputs
};

class Compiled {
 public:
  Compiled(nb::callable f, nb::object inputs, nb::object outputs) : f_(f), inputs_(inputs), outputs_(outputs) {
    for (nb::handle tree : {inputs_.get(), outputs_.get()})
      if (!can_fill(tree))
        throw nb::type_error(
            "[compile] captured arrays must sit in lists or dicts, which can be updated; got an array or a tuple of "
            "arrays");
  }

  nb::object call(nb::args args, nb::kwargs kwargs) {
    if (!f_) throw nb::type_error("[compile] the compiled function was taken apart by the garbage collector");
    if (!compile_enabled()) return f_.get()(*args, **kwargs);
    Arrays arrays;
    std::string key(transforming() ? "t" : "");  // then steps of optimizers are recorded as single operations
    flatten_tree(args, arrays, key, OtherLeaves::refuse);
    flatten_tree(kwargs, arrays, key, OtherLeaves::refuse);
    const size_t passed = arrays.size();
    flatten_tree(inputs_.get(), arrays, key, OtherLeaves::pass);
    if (!outputs_.get().is(inputs_.get())) {
      Arrays replaced;
      flatten_tree(outputs_.get(), replaced, key, OtherLeaves::pass);
    }
    auto it = traces_.find(key);
    if (it == traces_.end()) it = traces_.emplace(key, trace(args, kwargs, arrays, passed)).first;
    const Traced t = it->second;
    const Arrays computed = replay(*t.trace, arrays);
    size_t at = t.results;
    fill_tree(outputs_.get(), computed, at);
    at = 0;
    return rebuild_tree(t.result.get(), computed, at);
  }

  nb::handle function() const { return f_.get(); }

  // The garbage collector's view: a compiled function may hold itself, by a model that holds it.
  int traverse(visitproc visit, void* arg) const {
    for (const SharedObject* o : {&f_, &inputs_, &outputs_}) Py_VISIT(o->get().ptr());
    for (const auto& [key, t] : traces_) {
      Py_VISIT(t.result.get().ptr());
      Py_VISIT(t.constants.get().ptr());
    }
    return 0;
  }
  void clear() {
    const auto traces = std::move(traces_);
    const auto f = std::move(f_), inputs = std::move(inputs_), outputs = std::move(outputs_);
  }

 private:
  // Calls the function on placeholders. The captured trees hold placeholders meanwhile, and what it puts into them
  // after.
  Traced trace(nb::args args, nb::kwargs kwargs, const Arrays& arrays, size_t passed) {
    nb::object result, constants;
    size_t results = 0;
    Arrays placeholders;
    auto trees = nb::make_tuple(inputs_.get(), outputs_.get());
    Contents before;
    note(trees, before);
    try {
      auto t = trace_function(
          [&](const Arrays& given) {
            placeholders = given;
            size_t at = 0;
            nb::object a = rebuild_tree(args, given, at);
            nb::object k = rebuild_tree(kwargs, given, at);
            constants = nb::make_tuple(a, k);
            at = passed;
            fill_tree(inputs_.get(), given, at);
            result = f_.get()(*nb::borrow<nb::args>(a), **nb::borrow<nb::kwargs>(k));
            Arrays out;
            flatten_tree(result, out);
            results = out.size();
            flatten_tree(outputs_.get(), out);
            return out;
          },
          arrays);
      restore(trees, placeholders, arrays);
      return {t, SharedObject(result), SharedObject(constants), results};
    } catch (...) {
      put_back(before);
      throw;
    }
  }

  // Dicts and lists, each with a copy of itself. After an error they get back all that they held: what the function has
  // put into them was computed from placeholders and never has values.
  using Contents = std::vector<std::pair<nb::object, nb::object>>;
  static nb::object taken(PyObject* made) {
    if (!made) throw nb::python_error();
    return nb::steal(made);
  }
  static void note(nb::handle tree, Contents& out) {
    if (PyDict_Check(tree.ptr())) {
      nb::object copy = taken(PyDict_Copy(tree.ptr()));
      out.emplace_back(nb::borrow(tree), copy);
      for (auto [key, item] : nb::borrow<nb::dict>(copy)) note(item, out);
    } else if (PyList_Check(tree.ptr()) || PyTuple_Check(tree.ptr())) {
      nb::object copy = taken(PySequence_List(tree.ptr()));
      if (PyList_Check(tree.ptr())) out.emplace_back(nb::borrow(tree), copy);
      for (nb::handle item : nb::borrow<nb::list>(copy)) note(item, out);
    }
  }
  static void put_back(const Contents& before) {
    for (const auto& [tree, copy] : before) {
      if (PyDict_Check(tree.ptr())) PyDict_Clear(tree.ptr());
      if (PyDict_Check(tree.ptr()) ? PyDict_Update(tree.ptr(), copy.ptr())
                                   : PyList_SetSlice(tree.ptr(), 0, PyList_Size(tree.ptr()), copy.ptr()))
        throw nb::python_error();
    }
  }

  // Puts the values back where a captured tree still holds their placeholders.
  static void restore(nb::handle trees, const Arrays& placeholders, const Arrays& values) {
    std::unordered_map<const Node*, const Array*> value_of;
    for (size_t i = 0; i < placeholders.size(); ++i) value_of[placeholders[i].node()] = &values[i];
    Arrays now;
    flatten_tree(trees, now);
    for (Array& a : now)
      if (auto it = value_of.find(a.node()); it != value_of.end()) a = *it->second;
    size_t at = 0;
    fill_tree(trees, now, at);
  }

  SharedObject f_, inputs_, outputs_;
  std::unordered_map<std::string, Traced> traces_;
};

int traverse_compiled(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  return nb::inst_ready(self) ? nb::inst_ptr<Compiled>(self)->traverse(visit, arg) : 0;
}
int clear_compiled(PyObject* self) {
  if (nb::inst_ready(self)) nb::inst_ptr<Compiled>(self)->clear();
  return 0;
}
PyType_Slot compiled_slots[] = {{Py_tp_traverse, reinterpret_cast<void*>(traverse_compiled)},
                                {Py_tp_clear, reinterpret_cast<void*>(clear_compiled)},
                                {0, nullptr}};

}  // namespace

void bind_compiled(nb::module_& m) {
  nb::class_<Compiled>(m, "_Compiled", "A compiled function; ``__wrapped__`` is what it was made from.",
                       nb::type_slots(compiled_slots))
      .def(nb::init<nb::callable, nb::object, nb::object>(), nb::arg(), nb::arg().none(), nb::arg().none())
      .def("__call__", &Compiled::call)
      .def("__getattr__", [](const Compiled& c, nb::handle name) { return nb::getattr(c.function(), name); })
      .def_prop_ro("__wrapped__", [](const Compiled& c) { return nb::borrow(c.function()); });
  m.def(
      "disable_compile", [] { set_compile_enabled(false); }, nb::sig("def disable_compile() -> None"),
      "Makes compiled functions run as they were written; also ``NHWC_DISABLE_COMPILE=1``.\n\nExample:\n    >>> "
      "mx.disable_compile()\n    >>> mx.enable_compile()\n");
  m.def(
      "enable_compile", [] { set_compile_enabled(true); }, nb::sig("def enable_compile() -> None"),
      "Undoes :func:`disable_compile`.\n\nExample:\n    >>> mx.enable_compile()\n");
}

}  // namespace nhwc::py
