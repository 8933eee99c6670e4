// csrc/io/npy.cpp -- NumPy's format for one array (versions 1 to 3)
#include <algorithm>
#include <cctype>
#include <set>

#include "graph/trace_scope.h"
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
constexpr Code kCodes[] = {{"b1", Dtype::bool_},   {"u1", Dtype::uint8},   {"u2", Dtype::uint16},
                           {"u4", Dtype::uint32},  {"u8", Dtype::uint64},  {"i1", Dtype::int8},
                           {"i2", Dtype::int16},   {"i4", Dtype::int32},   {"i8", Dtype::int64},
                           {"f2", Dtype::float16}, {"f4", Dtype::float32}, {"f8", Dtype::float64},
                           {"V2", Dtype::bfloat16}};  // as MLX writes it: NumPy reads two raw bytes

/// The Python literal in the header: {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }
class HeaderParser {
 public:
  HeaderParser(std::string_view text, const ByteReader& file) : text_(text), file_(file) {}

  void parse() {
    expect('{');
    while (!accept('}')) {
      const std::string key = word();
      expect(':');
      if (!seen_.insert(key).second) file_.fail("the npy header has the key '", key, "' twice");
      if (key == "descr")
        descr = word();
      else if (key == "fortran_order")
        fortran = boolean();
      else if (key == "shape")
        tuple();
      else
        file_.fail("the npy header has an unknown key '", key, "'");
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    if (seen_.size() != 3) file_.fail("the npy header lacks descr, fortran_order or shape");
    skip();
    if (at_ != text_.size()) file_.fail("the npy header has something behind its dictionary");
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
    if (!accept(c))
      file_.fail("the npy header is no dictionary: expected '", std::string(1, c), "' at its character ", at_);
  }
  std::string word() {
    skip();
    const char quote = at_ < text_.size() ? text_[at_] : '\0';
    if (quote != '\'' && quote != '"')
      file_.fail("the npy header holds something other than a string; structured dtypes are not supported");
    const size_t end = text_.find(quote, ++at_);
    if (end == std::string_view::npos) file_.fail("a string in the npy header does not end");
    std::string s(text_.substr(at_, end - at_));
    at_ = end + 1;
    return s;
  }
  bool boolean() {
    skip();
    for (bool value : {true, false}) {
      const std::string_view name = value ? "True" : "False";
      if (text_.substr(at_, name.size()) != name) continue;
      at_ += name.size();
      return value;
    }
    file_.fail("fortran_order in the npy header is neither True nor False");
  }
  void tuple() {
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
      if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, text_[at_] - '0', &v))
        file_.fail("a size in the npy header is too large");
    if (at_ == begin) file_.fail("a size in the npy header is no number");
    return v;
  }

  std::string_view text_;
  const ByteReader& file_;
  size_t at_ = 0;
  std::set<std::string> seen_;
};

Dtype dtype_of(const std::string& descr, const ByteReader& file) {
  constexpr std::string_view orders = "<>|=";
  for (const Code& c : kCodes)
    if (!descr.empty() && orders.find(descr[0]) != orders.npos && descr.substr(1) == c.text) return c.dtype;
  file.fail("dtype '", descr, "' is not supported; expected bool, integers of 8 to 64 bits, or floats of 16 to 64");
}

// Every element's bytes in the other order.
std::string swapped(std::string_view data, size_t element) {
  std::string out(data);
  for (size_t i = 0; i < out.size(); i += element) std::reverse(out.begin() + i, out.begin() + i + element);
  return out;
}

}  // namespace

std::string npy_bytes(const Array& a) {
  const Code& code =
      *std::find_if(std::begin(kCodes), std::end(kCodes), [&](const Code& c) { return c.dtype == a.dtype(); });
  const char order = size_of(a.dtype()) == 1 ? '|' : '<';
  std::string header = std::string("{'descr': '") + order + code.text + "', 'fortran_order': False, 'shape': (";
  for (int64_t d : a.shape()) header += std::to_string(d) + ", ";
  header += "), }";
  const size_t before = kMagic.size() + 4;
  header.append(63 - (before + header.size()) % 64, ' ');  // the data begins at a multiple of 64
  header += '\n';
  if (header.size() > 0xffff)
    raise<ValueError>("[save] an array of ", a.ndim(), " dimensions does not fit an npy header");
  std::string out(kMagic);
  out += '\x01';
  out += '\0';
  append_little<uint16_t>(out, static_cast<uint16_t>(header.size()));
  out += header;
  const Array row = row_major(a);
  if (row.nbytes()) out.append(static_cast<const char*>(row.data()), row.nbytes());
  return out;
}

Array parse_npy(std::string_view bytes, const std::string& where) {
  ByteReader in(bytes, where);
  if (in.take(std::min<size_t>(kMagic.size(), bytes.size()), "the npy magic") != kMagic)
    in.fail("this is no npy file: the first bytes are not \\x93NUMPY");
  const int major = in.little<uint8_t>("the npy version");
  (void)in.little<uint8_t>("the npy version");
  if (major < 1 || major > 3) in.fail("npy version ", major, " is unknown; expected 1, 2 or 3");
  const uint64_t length =
      major == 1 ? in.little<uint16_t>("the header's length") : in.little<uint32_t>("the header's length");
  HeaderParser header(in.take(length, "the npy header"), in);
  header.parse();
  const Dtype t = dtype_of(header.descr, in);
  std::string_view data = in.take(array_bytes(in, header.shape, t), "the data of the array");
  if (in.remaining()) in.fail("the file has ", in.remaining(), " bytes behind its array");
  std::string turned;
  if (header.descr[0] == '>') data = turned = swapped(data, size_of(t));
  if (!header.fortran) return array_from(data, header.shape, t);
  Shape reversed(header.shape.size());
  std::reverse_copy(header.shape.begin(), header.shape.end(), reversed.begin());
  StreamScope on_cpu(default_stream({DeviceType::cpu, 0}));  // the GPU has no float64
  return transpose(array_from(data, reversed, t));
}

void save_npy(const std::string& path, const Array& a) { write_file(path, npy_bytes(a)); }
Array load_npy(const std::string& path) { return parse_npy(read_file(path), path); }

}  // namespace nhwc
