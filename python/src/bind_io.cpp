// python/src/bind_io.cpp -- weight files
#include <nanobind/stl/map.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>

#include "bind.h"
#include "bind_ops.h"
#include "convert.h"
#include "nhwc/io.h"

namespace nhwc::py {
namespace {

bool is_file(nb::handle o) { return nb::hasattr(o, "read") || nb::hasattr(o, "write"); }

// A str, bytes or anything with __fspath__; with the suffix added where it lacks it.
std::string to_path(nb::handle o, const char* who, const std::string& suffix = "") {
  nb::object path = nb::steal(PyOS_FSPath(o.ptr()));
  if (!path) {
    PyErr_Clear();
    throw nb::type_error(
        message("[", who, "] file must be a path or an open binary file, got ", python_type(o)).c_str());
  }
  std::string s = nb::isinstance<nb::bytes>(path) ? std::string(nb::cast<nb::bytes>(path).c_str(), nb::len(path))
                                                  : nb::cast<std::string>(path);
  const bool has = s.size() >= suffix.size() && s.compare(s.size() - suffix.size(), suffix.size(), suffix) == 0;
  return has ? s : s + suffix;
}

// Into an open file, or by `to_file` to a path; `to_bytes` and `to_file` run without the GIL, on arrays that are there.
template <class ToBytes, class ToFile>
void write_to(nb::handle file, const char* who, const char* suffix, const ToBytes& to_bytes, const ToFile& to_file) {
  if (is_file(file)) {
    std::string bytes;
    {
      nb::gil_scoped_release nogil;
      bytes = to_bytes();
    }
    file.attr("write")(nb::bytes(bytes.data(), bytes.size()));
    return;
  }
  const std::string path = to_path(file, who, suffix);
  nb::gil_scoped_release nogil;
  to_file(path);
}

std::string read_from(nb::handle file) {
  nb::object bytes = file.attr("read")();
  if (!nb::isinstance<nb::bytes>(bytes)) throw nb::type_error("[load] the file must be open in binary mode");
  return std::string(nb::cast<nb::bytes>(bytes).c_str(), nb::len(bytes));
}

NamedArrays to_named(nb::handle dict, const char* who) {
  if (!PyDict_Check(dict.ptr()))
    throw nb::type_error(message("[", who, "] expected a dict from str to array, got ", python_type(dict)).c_str());
  NamedArrays out;
  for (auto [k, v] : nb::borrow<nb::dict>(dict)) {
    if (!nb::isinstance<nb::str>(k))
      throw nb::type_error(message("[", who, "] names must be strings, got ", python_type(k)).c_str());
    out.emplace(nb::cast<std::string>(k), to_array(v));
  }
  return out;
}

void evaluate_named(const NamedArrays& named) {
  Arrays arrays;
  for (const auto& [name, a] : named) arrays.push_back(a);
  evaluate_nogil(arrays);
}

nb::dict to_dict(const NamedArrays& named) {
  nb::dict out;
  for (const auto& [name, a] : named) out[nb::str(name.data(), name.size())] = wrap(a);
  return out;
}

// Positional arrays are called arr_0, arr_1 and so on, as in NumPy.
void savez(nb::handle file, nb::args args, nb::kwargs kwargs, bool compressed, const char* who) {
  NamedArrays named = to_named(kwargs, who);
  size_t i = 0;
  for (nb::handle a : args)
    if (!named.emplace("arr_" + std::to_string(i++), to_array(a)).second)
      raise<ValueError>("[", who, "] the name arr_", i - 1, " is taken by a positional array; rename the keyword");
  evaluate_named(named);
  write_to(
      file, who, ".npz", [&] { return npz_bytes(named, compressed); },
      [&](const std::string& path) { save_npz(path, named, compressed); });
}

// The format that the name of a path, or of an open file, ends with.
std::string format_of(nb::handle file, bool open) {
  nb::object name = open ? nb::getattr(file, "name", nb::none()) : nb::borrow(file);
  if (open && !nb::isinstance<nb::str>(name)) return "";
  const std::string path = to_path(name, "load");
  const size_t dot = path.rfind('.');
  return dot == std::string::npos ? "" : path.substr(dot + 1);
}

nb::object load(nb::handle file, std::optional<std::string> format, bool metadata, const StreamOrDevice& stream) {
  OnStream scope(stream, "load");
  const bool open = is_file(file);
  const std::string path = open ? std::string("the file") : to_path(file, "load");
  const std::string kind = format ? *format : format_of(file, open);
  if (kind != "npy" && kind != "npz" && kind != "safetensors")
    raise<ValueError>("[load] the format of ", path, " is unclear, got \"", kind,
                      "\"; expected npy, npz or safetensors: name it with format=");
  if (metadata && kind != "safetensors")
    raise<ValueError>("[load] metadata exists in safetensors only, got format \"", kind, "\"");
  const std::string given = open ? read_from(file) : std::string();
  std::pair<NamedArrays, Metadata> loaded;
  {
    nb::gil_scoped_release nogil;
    if (kind == "npy")
      loaded.first.emplace("", open ? parse_npy(given, path) : load_npy(path));
    else if (kind == "npz")
      loaded.first = open ? parse_npz(given, path) : load_npz(path);
    else
      loaded = open ? parse_safetensors(given, path) : load_safetensors(path);
  }
  if (kind == "npy") return wrap(loaded.first.begin()->second);
  if (!metadata) return to_dict(loaded.first);
  return nb::make_tuple(to_dict(loaded.first), nb::cast(loaded.second));
}

}  // namespace

void bind_io(nb::module_& m) {
  m.def(
      "save",
      [](nb::handle file, const Array& a) {
        evaluate_nogil(a);
        write_to(
            file, "save", ".npy", [&] { return npy_bytes(a); }, [&](const std::string& path) { save_npy(path, a); });
      },
      nb::arg("file"), nb::arg("arr"), nb::sig("def save(file: object, arr: array) -> None"),
      "Writes an array as an npy file.\n\nArgs:\n    file (str | path | file): ``.npy`` is added to a path that lacks "
      "it.\n    arr (array): bfloat16 is written as MLX does; NumPy reads it as raw bytes.\n"
      "\nRaises:\n    ValueError: the file cannot be written.\n\nExample:\n    >>> import io\n "
      "   >>> mx.save(io.BytesIO(), mx.array([1, 2]))\n");
  m.def(
      "savez", [](nb::handle file, nb::args args, nb::kwargs kwargs) { savez(file, args, kwargs, false, "savez"); },
      nb::arg("file"), nb::arg("args"), nb::arg("kwargs"),
      nb::sig("def savez(file: object, *args: array, **kwargs: array) -> None"),
      "Writes arrays as an npz file.\n\nArgs:\n    file (str | path | file): ``.npz`` is added to a path that lacks "
      "it.\n    *args: named ``arr_0``, ``arr_1`` ...\n    **kwargs: under their names.\n"
      "\nRaises:\n    ValueError: the file cannot be written.\n\nExample:\n    >>> import io\n    >>> "
      "mx.savez(io.BytesIO(), w=mx.array([1, 2]))\n");
  m.def(
      "savez_compressed",
      [](nb::handle file, nb::args args, nb::kwargs kwargs) { savez(file, args, kwargs, true, "savez_compressed"); },
      nb::arg("file"), nb::arg("args"), nb::arg("kwargs"),
      nb::sig("def savez_compressed(file: object, *args: array, **kwargs: array) -> None"),
      "Writes arrays as a compressed npz file.\n\nArgs:\n    file (str | path | file): ``.npz`` is added to a path "
      "that lacks it.\n    *args: named ``arr_0``, ``arr_1`` ...\n    **kwargs: under their names.\n"
      "\nRaises:\n    ValueError: the file cannot be written.\n\nExample:\n    >>> import io\n    >>> "
      "mx.savez_compressed(io.BytesIO(), w=mx.array([1, 2]))\n");
  m.def(
      "save_safetensors",
      [](nb::handle file, nb::dict arrays, const std::optional<Metadata>& metadata) {
        const NamedArrays named = to_named(arrays, "save_safetensors");
        evaluate_named(named);
        const Metadata meta = metadata.value_or(Metadata());
        write_to(
            file, "save_safetensors", ".safetensors", [&] { return safetensors_bytes(named, meta); },
            [&](const std::string& path) { save_safetensors(path, named, meta); });
      },
      nb::arg("file"), nb::arg("arrays"), nb::arg("metadata") = nb::none(),
      nb::sig("def save_safetensors(file: object, arrays: dict[str, array], metadata: dict[str, str] | None = None) -> "
              "None"),
      "Writes arrays as a safetensors file.\n\nArgs:\n    file (str | path | file): ``.safetensors`` is added to a "
      "path that lacks it.\n    arrays (dict): by name.\n"
      "    metadata (dict, optional): strings by name. Default: none.\n\nRaises:\n    ValueError: the file cannot be "
      "written.\n"
      "\nExample:\n    >>> import io\n    >>> mx.save_safetensors(io.BytesIO(), {\"w\": mx.array([1, 2])})\n");
  m.def("load", &load, nb::arg("file"), nb::arg("format") = nb::none(), nb::arg("return_metadata") = false,
        NHWC_STREAM_ARG,
        nb::sig("def load(file: object, /, format: str | None = None, return_metadata: bool = False, " NHWC_STREAM_SIG
                " -> array | dict[str, array] | tuple[dict[str, array], dict[str, str]]"),
        "Reads an npy, npz or safetensors file.\n\nArgs:\n    file (str | path | file): what to read.\n    format "
        "(str, optional): ``\"npy\"``, ``\"npz\"`` or ``\"safetensors\"``. Default: by the file's name.\n"
        "    return_metadata (bool): the metadata of a safetensors file too. Default: ``False``.\n    stream (Stream | "
        "Device, optional): of the arrays. Default: the current stream.\n"
        "\nReturns:\n    array, or dict of arrays: what the file holds.\n\nRaises:\n    ValueError: a file that cannot "
        "be read, or is damaged: the message names the place.\n"
        "\nExample:\n    >>> import io\n    >>> f = io.BytesIO()\n    >>> mx.save(f, mx.array([1, 2]))\n    >>> _ = "
        "f.seek(0)\n    >>> mx.load(f, format=\"npy\").tolist()\n    [1, 2]\n");
}

}  // namespace nhwc::py
