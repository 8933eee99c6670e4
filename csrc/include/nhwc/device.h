// csrc/include/nhwc/device.h -- devices and streams
#pragma once

#include <cstdint>
#include <string>

namespace nhwc {

enum class DeviceType : uint8_t { cpu, gpu };

struct Device {
  DeviceType type = DeviceType::cpu;
  int index = 0;
  friend bool operator==(const Device&, const Device&) = default;
};

/// An order of evaluation: what is put on one stream runs in the order in which it was asked for.
struct Stream {
  int index = 0;
  Device device;
  friend bool operator==(const Stream&, const Stream&) = default;
};

/// "Device(cpu, 0)", "Stream(Device(cpu, 0), 1)".
std::string to_string(const Device& d);
std::string to_string(const Stream& s);

/// For the gpu: whether there is one, and this build can drive it.
bool is_available(const Device& d);
Device default_device();                   // of the calling thread's process
void set_default_device(const Device& d);  // ValueError where it is not available
Stream default_stream(const Device& d);
void set_default_stream(const Stream& s);
Stream new_stream(const Device& d);
/// ValueError with the mend where `d` is not available.
void require_available(const Device& d, const char* who);

}  // namespace nhwc
