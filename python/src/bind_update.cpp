// python/src/bind_update.cpp -- nhwc.optimizers' way to one pass over all parameters
#include "bind.h"
#include "convert.h"
#include "ops/update.h"

namespace nhwc::py {
namespace {

/// Walks the trees of a step in the order of the gradients. Whatever is not as it has to be for one pass (a state that
/// is not made yet, other dtypes, other kinds of trees) makes it say no; the general way then does it, or says what is
/// wrong.
class Step {
 public:
  explicit Step(nb::tuple names) : names_(names) {}

  /// Appends the inputs of all parameters.
  bool collect(PyObject* gradients, PyObject* parameters, PyObject* state) {
    if (!gradients || !parameters || !state) return false;
    if (is_array(gradients)) return collect_one(gradients, parameters, state);
    if (PyDict_CheckExact(gradients)) {
      if (!PyDict_Check(parameters) || !PyDict_Check(state)) return false;
      PyObject *key, *item;
      for (Py_ssize_t at = 0; PyDict_Next(gradients, &at, &key, &item);)
        if (!collect(item, PyDict_GetItemWithError(parameters, key), PyDict_GetItemWithError(state, key))) return false;
      return true;
    }
    if (!PyList_CheckExact(gradients) && !PyTuple_CheckExact(gradients)) return false;
    const Py_ssize_t count = Py_SIZE(gradients);
    for (PyObject* other : {parameters, state})
      if ((!PyList_Check(other) && !PyTuple_Check(other)) || PySequence_Size(other) < count) return false;
    for (Py_ssize_t i = 0; i < count; ++i)
      if (!collect(item_of(gradients, i), item_of(parameters, i), item_of(state, i))) return false;
    return true;
  }

  /// The new parameters in the structure of the gradients; the states' dicts get theirs.
  nb::object spread(nb::handle gradients, nb::handle state, const Arrays& outputs) {
    if (is_array(gradients)) {
      nb::object parameter = wrap(outputs[next_++]);
      for (nb::handle name : names_) state[name] = wrap(outputs[next_++]);
      return parameter;
    }
    if (nb::isinstance<nb::dict>(gradients)) {
      nb::dict found;
      for (auto [key, item] : nb::borrow<nb::dict>(gradients)) found[key] = spread(item, state[key], outputs);
      return found;
    }
    nb::list items;
    size_t i = 0;
    for (nb::handle item : gradients) items.append(spread(item, state[i++], outputs));
    return nb::isinstance<nb::list>(gradients) ? nb::object(items) : nb::object(nb::tuple(items));
  }

  NodeInputs inputs;
  size_t count = 0;

 private:
  static PyObject* item_of(PyObject* sequence, Py_ssize_t i) {
    return PyList_Check(sequence) ? PyList_GetItem(sequence, i) : PyTuple_GetItem(sequence, i);
  }
  bool append(PyObject* o, const Shape* shape) {
    const Array* a = o ? as_array(o) : nullptr;
    if (!a || a->dtype() != Dtype::float32 || (shape && a->shape() != *shape)) return false;
    inputs.push_back(*a);
    return true;
  }
  bool collect_one(PyObject* gradient, PyObject* parameter, PyObject* state) {
    if (!append(gradient, nullptr)) return false;
    const Shape shape = inputs[inputs.size() - 1].shape();
    if (!append(parameter, &shape) || !PyDict_Check(state)) return false;
    for (nb::handle name : names_)
      if (!append(PyDict_GetItemWithError(state, name.ptr()), &shape)) return false;
    ++count;
    return true;
  }

  nb::tuple names_;
  size_t next_ = 0;
};

nb::object update_in_one_pass(const char* rule, nb::tuple constants, nb::tuple scalars, nb::tuple names,
                              nb::object gradients, nb::object parameters, nb::object state) {
  if (!can_update()) return nb::none();
  auto call = std::make_shared<UpdateCall>();
  int index = 0;
  while (index < kUpdateRuleCount && std::string_view(kUpdateRules[index].name) != rule) ++index;
  if (index == kUpdateRuleCount) throw nb::value_error("[update] no such rule");
  call->rule = static_cast<UpdateRule>(index);
  const UpdateRuleFacts& facts = facts_of(call->rule);
  if (constants.size() != static_cast<size_t>(facts.constants) || scalars.size() != call->scalars() ||
      names.size() != static_cast<size_t>(facts.states))
    throw nb::value_error("[update] numbers that do not fit the rule");
  for (size_t i = 0; i < constants.size(); ++i) call->constants[i] = static_cast<float>(nb::cast<double>(constants[i]));
  Step step(names);
  for (nb::handle s : scalars) {
    const Array* a = as_array(s);
    if (!a || a->dtype() != Dtype::float32 || a->ndim() != 0) return nb::none();
    step.inputs.push_back(*a);
  }
  if (!step.collect(gradients.ptr(), parameters.ptr(), state.ptr()) || step.count == 0) return nb::none();
  call->count = step.count;
  return step.spread(gradients, state, update(call, std::move(step.inputs)));
}

}  // namespace

void bind_update(nb::module_& m) {
  m.def("_update", &update_in_one_pass, nb::arg("rule"), nb::arg("constants"), nb::arg("scalars"), nb::arg("names"),
        nb::arg("gradients"), nb::arg("parameters"), nb::arg("state"));
}

}  // namespace nhwc::py
