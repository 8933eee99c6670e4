// csrc/base/error.cpp -- puts messages together and throws them
#include "nhwc/error.h"

#include <cstdio>

namespace nhwc {

void Part::append_to(std::string& out) const {
  switch (size_) {
    case terminated:
      out += text_;
      break;
    case letter:
      out += letter_;
      break;
    case real: {
      char digits[32];
      std::snprintf(digits, sizeof digits, "%g", real_);
      out += digits;
      break;
    }
    case integer:
      out += std::to_string(integer_);
      break;
    case natural:
      out += std::to_string(static_cast<uint64_t>(integer_));
      break;
    default:
      out.append(text_, static_cast<size_t>(size_));
  }
}

std::string join(std::initializer_list<Part> parts) {
  std::string out;
  for (const Part& part : parts) part.append_to(out);
  return out;
}

template <class E>
void raise_joined(std::initializer_list<Part> parts) {
  throw E(join(parts));
}
template void raise_joined<ValueError>(std::initializer_list<Part>);
template void raise_joined<TypeError>(std::initializer_list<Part>);
template void raise_joined<IndexError>(std::initializer_list<Part>);
template void raise_joined<MemoryError>(std::initializer_list<Part>);

void raise_bug(Part what, const char* condition, const char* file, int line) {
  throw std::logic_error(join({"nhwc bug: ", what, " (", condition, ") at ", file, ":", line}));
}

}  // namespace nhwc
