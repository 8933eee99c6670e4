// python/src/interop.h -- memory in and out: the buffer protocol, DLPack, NumPy
#pragma once

#include <nanobind/nanobind.h>

#include <optional>

#include "nhwc/array.h"

namespace nhwc::py {

namespace nb = nanobind;

/// True where `o` has the buffer protocol, __dlpack__ or __array__.
bool exports_memory(nb::handle o);
/// The values in the memory that `o` exports: a row-major copy, or with `share` the memory itself where it fits.
/// float64 becomes float32 unless `dtype` says otherwise. TypeError where `o` exports none, or elements that nhwc does
/// not have.
Array import_memory(nb::handle o, std::optional<Dtype> dtype, bool share, const char* who);
/// An array in the memory that `o` exports and keeps alive. ValueError where that takes a copy.
Array import_alias(nb::handle o, const char* who);
/// The same, through DLPack only.
Array import_dlpack(nb::handle o, const char* who);

/// Slots of the class `array` for the buffer protocol: Py_bf_getbuffer and Py_bf_releasebuffer.
int array_getbuffer(PyObject* self, Py_buffer* view, int flags) noexcept;
void array_releasebuffer(PyObject* self, Py_buffer* view) noexcept;
/// __dlpack__ and __array__.
nb::object export_dlpack(const Array& a, nb::handle max_version, nb::handle device, std::optional<bool> copy);
nb::object export_numpy(nb::handle self, nb::handle dtype, std::optional<bool> copy);

/// Uninitialised row-major storage to be filled at node()->data(), already marked as ready.
Array new_leaf(const Shape& shape, Dtype dtype);
/// `a` with values that nobody outside can change: itself where it is lazy or owns them, else a row-major copy.
Array detached(const Array& a);
/// A row-major copy, evaluated; `to` is a's type, or float32 for float64.
Array copy_strided(const Array& a, Dtype to);

}  // namespace nhwc::py
