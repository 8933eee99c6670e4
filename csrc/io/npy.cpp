// csrc/io/npy.cpp -- NumPy's format for one array (versions 1 to 3)
#include <algorithm>
#include <cctype>

#include "io/bytes.h"
#include "nhwc/io.h"
#include "nhwc/ops.h"

namespace nhwc {
namespace {

constexpr std::string_view kMagic("\x93NUMPY", 6);

struct Code {
  const char* text;
  Dtype dtype;
};
constexpr Code kCodes[] = {{"b1", Dtype::bool_},  {"u1", Dtype::uint8},  {"u2", Dtype::uint16},  {"u4", Dtype::uint32},
                           {"u8", Dtype::uint64}, {"i1", Dtype::int8},   {"i2", Dtype::int16},   {"i4", Dtype::int32},
                           {"i8", Dtype::int64},  {"f2", Dtype::float16}, {"f4", Dtype::float32}, {"f8", Dtype::float64}};

/// The Python literal in the header: {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }
class HeaderParser {
 public:
  HeaderParser(std::string_view text, const ByteReader& file) : text_(text), file_(file) {}

  void parse() {
    expect('{');
    while (!accept('}')) {
      const std::string key = word();
      expect(':');
      if (key == "descr") descr = word();
      else if (key == "fortran_order") fortran = boolean();
      else if (key == "shape") tuple();
      else file_.fail("the npy header has an unknown key '", key, "'");
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    if (descr.empty() || !has_shape_ || !has_order_) file_.fail("the npy header lacks descr, fortran_order or shape");
  }

  std::string descr;
  bool fortran = false;
  Shape shape;

 private:
  void skip() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
  }
  bool accept(char c) {
    skip();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) file_.fail("the npy header is no dictionary: expected '", std::string(1, c), "' at its character ", at_);
  }
  std::string word() {
    skip();
    const char quote = at_ < text_.size() ? text_[at_] : '\0';
    if (quote != '\'' && quote != '"') file_.fail("the npy header holds something other than a string; structured dtypes are not supported");
    const size_t end = text_.find(quote, ++at_);
    if (end == std::string_view::npos) file_.fail("a string in the npy header does not end");
    std::string s(text_.substr(at_, end - at_));
    at_ = end + 1;
    return s;
  }
  bool boolean() {
    skip();
    has_order_ = true;
    for (bool value : {true, false}) {
      const std::string_view name = value ? "True" : "False";
      if (text_.substr(at_, name.size()) != name) continue;
      at_ += name.size();
      return value;
    }
    file_.fail("fortran_order in the npy header is neither True nor False");
  }
  void tuple() {
    has_shape_ = true;
    expect('(');
    while (!accept(')')) {
      shape.push_back(number());
      if (shape.size() > 64) file_.fail("the npy header has more than 64 axes");
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
  }
  int64_t number() {
    skip();
    int64_t v = 0;
    const size_t begin = at_;
    for (; at_ < text_.size() && std::isdigit(static_cast<unsigned char>(text_[at_])); ++at_)
      if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, text_[at_] - '0', &v)) file_.fail("a size in the npy header is too large");
    if (at_ == begin) file_.fail("a size in the npy header is no number");
    return v;
  }

  std::string_view text_;
  const ByteReader& file_;
  size_t at_ = 0;
  bool has_shape_ = false, has_order_ = false;
};

Dtype dtype_of(const std::string& descr, const ByteReader& file) {
  const char order = descr.empty() ? '?' : descr[0];
  for (const Code& c : kCodes)
    if (descr.substr(1) == c.text) {
      if (order == '>' && size_of(c.dtype) > 1)
        file.fail("dtype '", descr, "' is big-endian, which is not supported; save it with .astype('<", c.text, "')");
      if (order == '<' || order == '|' || order == '=' || order == '>') return c.dtype;
    }
  file.fail("dtype '", descr, "' is not supported; expected bool, integers of 8 to 64 bits, or floats of 16 to 64");
}

const Array& evaluated_row_major(const Array& a, Array& keep) {
  keep = contiguous(a);
  (void)keep.data();
  return keep;
}

}  // namespace

std::string npy_bytes(const Array& a) {
  const char* code = nullptr;
  for (const Code& c : kCodes)
    if (c.dtype == a.dtype()) code = c.text;
  if (!code) raise<ValueError>("[save] npy has no ", name(a.dtype()), "; convert with astype, or use save_safetensors");
  std::string header = message("{'descr': '", size_of(a.dtype()) == 1 ? '|' : '<', code, "', 'fortran_order': False, 'shape': ",
                               to_string(a.shape()), ", }");
  const size_t before = kMagic.size() + 4;
  header.append(63 - (before + header.size()) % 64, ' ');  // the data begins at a multiple of 64
  header += '\n';
  const bool wide = header.size() > 0xffff;
  if (wide) raise<ValueError>("[save] an array of ", a.ndim(), " dimensions does not fit an npy header");
  std::string out(kMagic);
  out += '\x01';
  out += '\0';
  append_little<uint16_t>(out, static_cast<uint16_t>(header.size()));
  out += header;
  Array keep;
  const Array& row = evaluated_row_major(a, keep);
  out.append(static_cast<const char*>(row.data()), row.nbytes());
  return out;
}

Array parse_npy(std::string_view bytes, const std::string& where) {
  ByteReader in(bytes, where);
  if (in.take(std::min<size_t>(kMagic.size(), bytes.size()), "the npy magic") != kMagic) in.fail("this is no npy file: the first bytes are not \\x93NUMPY");
  const int major = in.little<uint8_t>("the npy version");
  (void)in.little<uint8_t>("the npy version");
  if (major < 1 || major > 3) in.fail("npy version ", major, " is unknown; expected 1, 2 or 3");
  const uint64_t length = major == 1 ? in.little<uint16_t>("the header's length") : in.little<uint32_t>("the header's length");
  HeaderParser header(in.take(length, "the npy header"), in);
  header.parse();
  const Dtype t = dtype_of(header.descr, in);
  uint64_t count = 1, need = 0;
  bool overflow = false;
  for (int64_t d : header.shape) overflow |= __builtin_mul_overflow(count, static_cast<uint64_t>(d), &count);
  overflow |= __builtin_mul_overflow(count, size_of(t), &need);
  if (overflow) in.fail("the shape ", to_string(header.shape), " is too large");
  const std::string_view data = in.take(need, "the data of the array");
  if (!header.fortran) return Array::copy_of(data.data(), header.shape, t);
  Shape reversed(header.shape.size());
  std::reverse_copy(header.shape.begin(), header.shape.end(), reversed.begin());
  return transpose(Array::copy_of(data.data(), reversed, t));
}

void save_npy(const std::string& path, const Array& a) { write_file(path, npy_bytes(a)); }
Array load_npy(const std::string& path) { return parse_npy(read_file(path), path); }

}  // namespace nhwc
