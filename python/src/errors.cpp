// python/src/errors.cpp -- C++ exceptions become Python's, and Ctrl-C becomes an interrupted evaluation
#include "errors.h"

#include <memory>
#include <new>

#include "base/warn.h"
#include "bind.h"
#include "nhwc/error.h"
#include "nhwc/memory.h"

namespace nhwc::py {
namespace {

// Our own exception types; false for others, which nanobind translates.
bool set_own_error(const std::exception_ptr& p) {
  try {
    std::rethrow_exception(p);
  } catch (const Interrupted&) {
    // The check below has left KeyboardInterrupt, or whatever the user's handler raised, in the error indicator.
    if (!PyErr_Occurred()) PyErr_SetNone(PyExc_KeyboardInterrupt);
  } catch (const ValueError& e) {
    PyErr_SetString(PyExc_ValueError, e.what());
  } catch (const TypeError& e) {
    PyErr_SetString(PyExc_TypeError, e.what());
  } catch (const IndexError& e) {
    PyErr_SetString(PyExc_IndexError, e.what());
  } catch (const MemoryError& e) {
    PyErr_SetString(PyExc_MemoryError, e.what());
  } catch (const std::bad_alloc&) {
    PyErr_SetString(PyExc_MemoryError, "[nhwc] out of memory");
  } catch (const std::overflow_error& e) {
    PyErr_SetString(PyExc_OverflowError, e.what());
  } catch (...) {
    return false;
  }
  return true;
}

bool interrupted() {
  if (!Py_IsInitialized()) return false;
  nb::gil_scoped_acquire gil;
  return PyErr_CheckSignals() != 0;
}

int say(void* text) {
  std::unique_ptr<std::string> mine(static_cast<std::string*>(text));
  return PyErr_WarnEx(PyExc_RuntimeWarning, mine->c_str(), 1);
}

// The main thread says it, between two of its instructions: whoever warns may hold locks, and Python code that a
// warning runs may evaluate.
void warn_later(const std::string& text) {
  auto mine = std::make_unique<std::string>("[nhwc] " + text);
  if (Py_IsInitialized() && Py_AddPendingCall(say, mine.get()) == 0) (void)mine.release();
}

}  // namespace

void set_python_error() noexcept {
  std::exception_ptr p = std::current_exception();
  if (set_own_error(p)) return;
  try {
    std::rethrow_exception(p);
  } catch (nb::python_error& e) {
    e.restore();
  } catch (const nb::builtin_exception& e) {
    PyObject* type = PyExc_RuntimeError;
    switch (e.type()) {
      case nb::exception_type::stop_iteration:
        type = PyExc_StopIteration;
        break;
      case nb::exception_type::index_error:
        type = PyExc_IndexError;
        break;
      case nb::exception_type::key_error:
        type = PyExc_KeyError;
        break;
      case nb::exception_type::value_error:
        type = PyExc_ValueError;
        break;
      case nb::exception_type::type_error:
        type = PyExc_TypeError;
        break;
      case nb::exception_type::buffer_error:
        type = PyExc_BufferError;
        break;
      case nb::exception_type::import_error:
        type = PyExc_ImportError;
        break;
      case nb::exception_type::attribute_error:
        type = PyExc_AttributeError;
        break;
      default:
        break;
    }
    PyErr_SetString(type, e.what());
  } catch (const std::exception& e) {
    PyErr_SetString(PyExc_RuntimeError, e.what());
  } catch (...) {
    PyErr_SetString(PyExc_RuntimeError, "[nhwc] unknown C++ exception");
  }
}

void bind_errors(nb::module_&) {
  nb::register_exception_translator([](const std::exception_ptr& p, void*) {
    if (!set_own_error(p)) std::rethrow_exception(p);
  });
  set_interrupt_check(interrupted);
  set_warning_handler(warn_later);
}

}  // namespace nhwc::py
