// python/src/array_class.h -- the parts that the class `array` is put together from
#pragma once

#include "convert.h"

namespace nhwc::py {

using ArrayClass = nb::class_<Array>;

/// The operators, len, hash, buffers and subscripts as type slots: half the cost of methods found by name.
const PyType_Slot* array_slots();
void define_methods(ArrayClass& c);             // array_methods.cpp: the ones that are operations
void define_reductions(ArrayClass& c);          // array_reductions.cpp
void define_at(nb::module_& m, ArrayClass& c);  // bind_indexing.cpp

/// a[index]; and what a[index] = value makes of `a`, or with another `mode` a.at[index].add(value) and so on.
Array get_item(const Array& a, nb::handle index);
Array set_item(const Array& a, nb::handle index, nb::handle value, Update mode = Update::set);

/// "array([1, 2, 3], dtype=int32)".
std::string repr(const Array& a);

}  // namespace nhwc::py
