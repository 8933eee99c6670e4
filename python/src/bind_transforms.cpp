// python/src/bind_transforms.cpp -- evaluation, and the transformations on flat lists that nhwc/_transforms.py builds
// on
#include <nanobind/stl/function.h>

#include "bind.h"
#include "compiled.h"
#include "eval/fuse.h"
#include "nhwc/profile.h"
#include "nhwc/transforms.h"
#include "ops/host_call.h"
#include "tree.h"

namespace nhwc::py {
namespace {

nb::list to_list(const Arrays& arrays) {
  nb::list out;
  for (const Array& a : arrays) out.append(a ? wrap(a) : nb::none());
  return out;
}

// The arrays of a list; None stands for none (a zero cotangent).
Arrays from_list(nb::handle list, const char* who) {
  Arrays out;
  for (nb::handle o : list) {
    if (o.is_none()) {
      out.emplace_back();
      continue;
    }
    const Array* a = as_array(o);
    if (!a) throw nb::type_error(message("[", who, "] expected arrays, got ", python_type(o)).c_str());
    out.push_back(*a);
  }
  return out;
}

// A Python function from lists of arrays to a list of arrays.
Function to_function(nb::callable f, const char* who) {
  return [held = SharedObject(f), who](const Arrays& in) { return from_list(held.get()(to_list(in)), who); };
}

nb::tuple pair_of_lists(const std::pair<Arrays, Arrays>& p) {
  return nb::make_tuple(to_list(p.first), to_list(p.second));
}

CustomRules to_rules(nb::object vjp_rule, nb::object jvp_rule, nb::object vmap_rule) {
  CustomRules rules;
  if (!vjp_rule.is_none())
    rules.vjp = [held = SharedObject(vjp_rule)](const Arrays& primals, const Arrays& outputs,
                                                const Arrays& cotangents) {
      return from_list(held.get()(to_list(primals), to_list(cotangents), to_list(outputs)), "custom_function");
    };
  if (!jvp_rule.is_none())
    rules.jvp = [held = SharedObject(jvp_rule)](const Arrays& primals, const Arrays& tangents) {
      return from_list(held.get()(to_list(primals), to_list(tangents)), "custom_function");
    };
  if (!vmap_rule.is_none())
    rules.vmap = [held = SharedObject(vmap_rule)](const Arrays& primals, const std::vector<int>& axes) {
      nb::list ax;
      for (int a : axes) ax.append(a == kNoAxis ? nb::none() : nb::object(nb::int_(a)));
      nb::object r = held.get()(to_list(primals), ax);
      std::vector<int> out_axes;
      for (nb::handle a : nb::object(r[1])) out_axes.push_back(a.is_none() ? kNoAxis : nb::cast<int>(a));
      return std::pair{from_list(nb::object(r[0]), "custom_function"), out_axes};
    };
  return rules;
}

// A flat function as a Python callable over lists.
nb::object to_callable(Function f) {
  return nb::cpp_function([f = std::move(f)](nb::list in) { return to_list(f(from_list(in, "function"))); });
}

std::vector<int> to_map_axes(nb::handle list) {
  std::vector<int> out;
  for (nb::handle o : list) out.push_back(o.is_none() ? kNoAxis : static_cast<int>(to_int(o, "vmap", "axes")));
  return out;
}

void bind_eval(nb::module_& m) {
  m.def(
      "eval",
      [](nb::args trees) {
        if (const Array* only = trees.size() == 1 ? as_array(trees[0]) : nullptr) return evaluate_nogil(*only);
        Arrays arrays;
        flatten_tree(trees, arrays);
        evaluate_nogil(arrays);
      },
      nb::sig("def eval(*args: object) -> None"),
      "Computes arrays, and waits until they are there.\n\nArgs:\n    *args: arrays, or lists, tuples and dicts of "
      "them.\n"
      "\nRaises:\n    MemoryError: no memory for a result; other arrays stay usable.\n    IndexError: an index array "
      "out of range.\n"
      "\nExample:\n    >>> y = mx.array([1, 2]) + 1\n    >>> mx.eval(y)\n");
  m.def(
      "async_eval",
      [](nb::args trees) {
        Arrays arrays;
        flatten_tree(trees, arrays);
        nb::gil_scoped_release nogil;
        async_eval(arrays);
      },
      nb::sig("def async_eval(*args: object) -> None"),
      "Starts to compute arrays in the background; a later use waits for them.\n\nArgs:\n    *args: arrays, or lists, "
      "tuples and dicts of them.\n"
      "\nExample:\n    >>> y = mx.array([1, 2]) + 1\n    >>> mx.async_eval(y)\n");
  m.def("_explain", &explain, nb::call_guard<nb::gil_scoped_release>());  // waits for evaluations of other threads
  m.def("_start_profile", &start_profile, nb::call_guard<nb::gil_scoped_release>());
  m.def("_stop_profile", [] {
    std::vector<ProfileEvent> events;
    {
      nb::gil_scoped_release nogil;
      events = stop_profile();
    }
    nb::list out;
    for (const ProfileEvent& e : events) out.append(nb::make_tuple(e.name, e.detail, e.begin, e.end, e.thread));
    return out;
  });
  m.def("_set_fusion_enabled", &set_fusion_enabled);  // for tests
  m.def("_export_to_dot", [](nb::list outputs, std::vector<std::string> names) {
    const Arrays arrays = from_list(outputs, "export_to_dot");
    nb::gil_scoped_release nogil;
    return export_to_dot(arrays, names);
  });
}

// What nhwc.distributed is made of where a function is traced.
void bind_host_call(nb::module_& m) {
  m.def("_host_call", [](const Array& x, nb::handle shape, nb::callable f) {
    return host_call(x, to_dims(shape, "host_call", "shape"), [held = SharedObject(f)](const Array& in) {
      nb::gil_scoped_acquire gil;
      return self_array(held.get()(wrap(in)));
    });
  });
  m.def("_tracing", &tracing);
  m.def("_compiling", &tracing_everything);
}

void bind_flat(nb::module_& m) {
  m.def("_tree_flatten", [](nb::handle tree) {
    Arrays out;
    flatten_tree(tree, out);
    return to_list(out);
  });
  m.def("_tree_unflatten", [](nb::handle tree, nb::list arrays) {
    size_t at = 0;
    return rebuild_tree(tree, from_list(arrays, "tree"), at);
  });
  m.def("_vjp", [](nb::callable f, nb::list primals, nb::list cotangents) {
    return pair_of_lists(vjp(to_function(f, "vjp"), from_list(primals, "vjp"), from_list(cotangents, "vjp")));
  });
  m.def("_jvp", [](nb::callable f, nb::list primals, nb::list tangents) {
    return pair_of_lists(jvp(to_function(f, "jvp"), from_list(primals, "jvp"), from_list(tangents, "jvp")));
  });
  m.def("_value_and_grad", [](nb::callable f, nb::list primals) {
    const Arrays arrays = from_list(primals, "value_and_grad");
    std::vector<int> all(arrays.size());
    for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int>(i);
    return pair_of_lists(value_and_grad(to_function(f, "value_and_grad"), all)(arrays));
  });
  m.def("_vmap", [](nb::callable f, nb::list in_axes, nb::list out_axes, nb::list arguments) {
    // f fills the list of out_axes, whose length only it knows.
    const auto axes_of = [&] { return to_map_axes(out_axes); };
    return to_list(vmap_deferred(to_function(f, "vmap"), to_map_axes(in_axes), axes_of)(from_list(arguments, "vmap")));
  });
  m.def(
      "_custom_function",
      [](nb::callable f, nb::object vjp_rule, nb::object jvp_rule, nb::object vmap_rule) {
        return to_callable(custom_function(to_function(f, "custom_function"), to_rules(vjp_rule, jvp_rule, vmap_rule)));
      },
      nb::arg("fun"), nb::arg("vjp").none(), nb::arg("jvp").none(), nb::arg("vmap").none());
  m.def("_checkpoint", [](nb::callable f) { return to_callable(checkpoint(to_function(f, "checkpoint"))); });
}

}  // namespace

void bind_transforms(nb::module_& m) {
  bind_eval(m);
  bind_host_call(m);
  bind_flat(m);
  bind_compiled(m);
}

}  // namespace nhwc::py
