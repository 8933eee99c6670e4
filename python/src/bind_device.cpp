// python/src/bind_device.cpp -- devices, streams and their defaults; the submodules metal and cuda
#include <functional>
#include <memory>

#include "bind.h"
#include "convert.h"
#include "nhwc/transforms.h"

namespace nhwc::py {
namespace {

PyTypeObject* device_type = nullptr;
PyTypeObject* stream_type = nullptr;
PyObject* device_type_enum = nullptr;

/// What set_default_device, default_stream and new_stream take: a Device or a DeviceType.
Device device_of(nb::handle o, const char* who) {
  StreamOrDevice s;
  if (!as_stream(o, s) || s.kind != StreamOrDevice::device)
    raise<TypeError>("[", who, "] expected a Device or a DeviceType, got ", python_type(o));
  return s.value.device;
}

/// `with nhwc.stream(s):`, on the thread that enters it.
class StreamContext {
 public:
  explicit StreamContext(Stream s) : stream_(s) {}
  Stream enter() {
    if (scope_) raise<ValueError>("[stream] this context is entered already; make another with nhwc.stream");
    scope_ = std::make_unique<StreamScope>(stream_);
    return stream_;
  }
  void exit() { scope_.reset(); }

 private:
  Stream stream_;
  std::unique_ptr<StreamScope> scope_;
};

void bind_classes(nb::module_& m) {
  auto type = nb::enum_<DeviceType>(m, "DeviceType", "The kinds of device.")
                  .value("cpu", DeviceType::cpu, "The processor.")
                  .value("gpu", DeviceType::gpu, "The GPU, where a backend for it is built in.")
                  .export_values();
  device_type_enum = type.ptr();
  auto device =
      nb::class_<Device>(m, "Device",
                         "A device that arrays are computed on: a type and an index.\n\n"
                         "Example:\n    >>> mx.Device(mx.cpu).index\n    0\n")
          .def(nb::init<DeviceType, int>(), nb::arg("type"), nb::arg("index") = 0)
          .def_prop_ro(
              "type", [](const Device& d) { return d.type; }, "cpu or gpu.")
          .def_ro("index", &Device::index, "Which of the devices of its type.")
          .def("__repr__", [](const Device& d) { return to_string(d); })
          .def("__hash__", [](const Device& d) { return static_cast<int64_t>(d.index) * 2 + static_cast<int>(d.type); })
          .def(
              "__eq__",
              [](const Device& d, nb::handle o) {
                StreamOrDevice other;
                return as_stream(o, other) && other.kind == StreamOrDevice::device && other.value.device == d;
              },
              nb::arg().none(), nb::is_operator(), nb::sig("def __eq__(self, arg: object, /) -> bool"));
  device_type = reinterpret_cast<PyTypeObject*>(device.ptr());
  auto stream =
      nb::class_<Stream>(
          m, "Stream", "An order of evaluation: what is put on one stream runs in the order in which it was asked for.")
          .def_ro("device", &Stream::device, "The device it runs on.")
          .def_ro("index", &Stream::index, "Its number.")
          .def("__repr__", [](const Stream& s) { return to_string(s); })
          .def("__hash__", [](const Stream& s) { return static_cast<int64_t>(s.index); })
          .def(
              "__eq__",
              [](const Stream& s, nb::handle o) {
                return Py_TYPE(o.ptr()) == stream_type && *nb::inst_ptr<Stream>(o) == s;
              },
              nb::arg().none(), nb::is_operator(), nb::sig("def __eq__(self, arg: object, /) -> bool"));
  stream_type = reinterpret_cast<PyTypeObject*>(stream.ptr());
  nb::class_<StreamContext>(m, "StreamContext", "What ``stream`` returns: a context manager.")
      .def("__enter__", &StreamContext::enter)
      .def("__exit__", [](StreamContext& c, nb::args) { c.exit(); }, nb::sig("def __exit__(self, *args) -> None"));
}

void bind_defaults(nb::module_& m) {
  m.def("default_device", &default_device,
        "Gives the device that arrays are computed on where nothing else is said.\n\n"
        "Returns:\n    The Device.\n\nExample:\n    >>> mx.default_device()\n    Device(cpu, 0)\n");
  m.def(
      "set_default_device", [](nb::object d) { set_default_device(device_of(d, "set_default_device")); },
      nb::arg("device"), nb::sig("def set_default_device(device: Device | DeviceType) -> None"),
      "Sets the device that arrays are computed on where nothing else is said.\n\nArgs:\n    device: A Device or "
      "DeviceType.\n\n"
      "Raises:\n    ValueError: If it is not available.\n\n"
      "Example:\n    >>> mx.set_default_device(mx.default_device())\n");
  m.def(
      "default_stream", [](nb::object d) { return default_stream(device_of(d, "default_stream")); }, nb::arg("device"),
      nb::sig("def default_stream(device: Device | DeviceType) -> Stream"),
      "Gives a device's default stream.\n\nArgs:\n    device: A Device or DeviceType.\n\nReturns:\n    The Stream.\n\n"
      "Raises:\n    ValueError: If the device is not available.\n\n"
      "Example:\n    >>> mx.default_stream(mx.cpu).device\n    Device(cpu, 0)\n");
  m.def("set_default_stream", &set_default_stream, nb::arg("stream"),
        "Makes a stream the default of its device.\n\nArgs:\n    stream: A Stream.\n\n"
        "Example:\n    >>> mx.set_default_stream(mx.default_stream(mx.cpu))\n");
  m.def(
      "new_stream", [](nb::object d) { return new_stream(device_of(d, "new_stream")); }, nb::arg("device"),
      nb::sig("def new_stream(device: Device | DeviceType) -> Stream"),
      "Makes a stream.\n\nArgs:\n    device: A Device or DeviceType.\n\nReturns:\n    A new Stream.\n\n"
      "Raises:\n    ValueError: If the device is not available.\n\n"
      "Example:\n    >>> mx.add(1, 2, stream=mx.new_stream(mx.cpu)).item()\n    3\n");
  m.def(
      "stream",
      [](StreamOrDevice s) {
        if (s.kind == StreamOrDevice::none)
          raise<TypeError>("[stream] expected a Stream, a Device or a DeviceType, got None");
        return StreamContext(OnStream::resolve(s, "stream"));
      },
      nb::arg("s"), nb::sig("def stream(s: Stream | Device | DeviceType) -> StreamContext"),
      R"(Makes a context manager inside which this thread's arrays are computed on a stream or device.

Args:
    s: A Stream, a Device or a DeviceType.

Returns:
    A StreamContext.

Raises:
    ValueError: If the device is not available.

Example:
    >>> with mx.stream(mx.cpu):
    ...     y = mx.array([1, 2]) + 1
)");
}

void wait_for_streams() {
  nb::gil_scoped_release nogil;
  synchronize();
}

void bind_waiting(nb::module_& m) {
  m.def(
      "synchronize",
      [](const StreamOrDevice& s) {
        OnStream::resolve(s, "synchronize");
        wait_for_streams();
      },
      nb::arg("stream") = nb::none(),
      R"(Waits until what ``async_eval`` was given is computed.

Args:
    stream: A Stream, a Device or a DeviceType. Default: the default stream. All streams of a device are waited for.

Raises:
    ValueError: If the device is not available.

Example:
    >>> mx.async_eval(mx.array([1, 2]) + 1)
    >>> mx.synchronize()
)");
  m.def("clear_streams", &wait_for_streams,
        R"(Waits for all streams. They hold nothing that would have to be freed, so they stay usable.

Example:
    >>> mx.clear_streams()
)");
}

void bind_backends(nb::module_& m) {
  nb::module_ cuda = m.def_submodule("cuda", "CUDA, which nhwc has no backend for.");
  cuda.def("is_available", [] { return false; }, "Says whether there is a CUDA backend.\n\nReturns:\n    ``False``.\n");
}

}  // namespace

bool as_stream(nb::handle o, StreamOrDevice& out) {
  PyTypeObject* t = Py_TYPE(o.ptr());
  if (o.is_none()) {
    out.kind = StreamOrDevice::none;
  } else if (t == stream_type) {
    out.kind = StreamOrDevice::stream;
    out.value = *nb::inst_ptr<Stream>(o);
  } else if (t == device_type) {
    out.kind = StreamOrDevice::device;
    out.value.device = *nb::inst_ptr<Device>(o);
  } else if (reinterpret_cast<PyObject*>(t) == device_type_enum) {
    out.kind = StreamOrDevice::device;
    out.value.device = Device{nb::cast<DeviceType>(o), 0};
  } else {
    return false;
  }
  return true;
}

void bind_device(nb::module_& m) {
  bind_classes(m);
  bind_defaults(m);
  bind_waiting(m);
  bind_backends(m);
}

}  // namespace nhwc::py
