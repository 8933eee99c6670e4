// csrc/io/safetensors.cpp -- the safetensors format: a JSON header, then the arrays' bytes
// (huggingface.co/docs/safetensors)
#include <algorithm>

#include "io/bytes.h"
#include "io/json.h"
#include "nhwc/io.h"
#include "nhwc/ops.h"

namespace nhwc {
namespace {

constexpr uint64_t kMostHeader = 100'000'000;  // the format's own limit

struct Code {
  const char* text;
  Dtype dtype;
};
constexpr Code kCodes[] = {{"BOOL", Dtype::bool_},  {"U8", Dtype::uint8},      {"U16", Dtype::uint16},
                           {"U32", Dtype::uint32},  {"U64", Dtype::uint64},    {"I8", Dtype::int8},
                           {"I16", Dtype::int16},   {"I32", Dtype::int32},     {"I64", Dtype::int64},
                           {"F16", Dtype::float16}, {"BF16", Dtype::bfloat16}, {"F32", Dtype::float32},
                           {"F64", Dtype::float64}};

const char* code_of(Dtype t) {
  return std::find_if(std::begin(kCodes), std::end(kCodes), [&](const Code& c) { return c.dtype == t; })->text;
}

/// One array as the header describes it.
struct Entry {
  std::string name;
  Dtype dtype;
  Shape shape;
  uint64_t begin = 0, end = 0;
};

class HeaderReader {
 public:
  explicit HeaderReader(const ByteReader& file) : file_(file) {}

  Entry entry(const std::string& name, const Json& j) const {
    Entry e;
    e.name = name;
    bool has_dtype = false, has_shape = false, has_offsets = false;
    for (const auto& [key, v] : as<JsonObject>(j, name, "an object")) {
      if (key == "dtype") {
        e.dtype = dtype(as<std::string>(v, name, "a string as dtype"), name);
        has_dtype = true;
      } else if (key == "shape") {
        for (const Json& d : as<JsonList>(v, name, "a list as shape"))
          e.shape.push_back(size(as<uint64_t>(d, name, "numbers as shape"), name));
        has_shape = true;
      } else if (key == "data_offsets") {
        const JsonList& both = as<JsonList>(v, name, "a list as data_offsets");
        if (both.size() != 2) file_.fail("'", name, "' has ", both.size(), " data_offsets; expected 2");
        e.begin = as<uint64_t>(both[0], name, "numbers as data_offsets");
        e.end = as<uint64_t>(both[1], name, "numbers as data_offsets");
        has_offsets = true;
      } else {
        file_.fail("'", name, "' has an unknown key '", key, "'");
      }
    }
    if (!has_dtype || !has_shape || !has_offsets) file_.fail("'", name, "' lacks dtype, shape or data_offsets");
    require_bytes(e);
    return e;
  }

  template <class T>
  const T& as(const Json& j, const std::string& name, const char* what) const {
    if (const T* v = std::get_if<T>(&j.value)) return *v;
    file_.fail("'", name, "' must have ", what);
  }

 private:
  Dtype dtype(const std::string& text, const std::string& name) const {
    for (const Code& c : kCodes)
      if (text == c.text) return c.dtype;
    file_.fail("'", name, "' has the dtype '", text, "', which is not supported");
  }
  int64_t size(uint64_t d, const std::string& name) const {
    if (d > INT64_MAX) file_.fail("'", name, "' has a size beyond 63 bits");
    return static_cast<int64_t>(d);
  }
  void require_bytes(const Entry& e) const {
    const uint64_t n = array_bytes(file_, e.shape, e.dtype);
    if (e.end < e.begin || e.end - e.begin != n)
      file_.fail("'", e.name, "' has the bytes ", e.begin, " to ", e.end, ", but its shape ", to_string(e.shape),
                 " needs ", n);
  }

  const ByteReader& file_;
};

}  // namespace

std::string safetensors_bytes(const NamedArrays& arrays, const Metadata& metadata) {
  std::string header = "{";
  if (!metadata.empty()) {
    header += "\"__metadata__\":{";
    for (const auto& [k, v] : metadata) header += json_string(k) + ":" + json_string(v) + ",";
    header.back() = '}';
    header += ',';
  }
  std::vector<std::pair<std::string, Array>> rows;
  for (const auto& [name, a] : arrays) {
    if (name == "__metadata__") raise<ValueError>("[save_safetensors] an array cannot be named \"__metadata__\"");
    rows.emplace_back(name, row_major(a));
  }
  // Wide elements first: then each array begins at a multiple of its element's size.
  std::stable_sort(rows.begin(), rows.end(),
                   [](const auto& a, const auto& b) { return size_of(a.second.dtype()) > size_of(b.second.dtype()); });
  uint64_t at = 0;
  for (const auto& [name, a] : rows) {
    header += json_string(name) + ":{\"dtype\":\"" + code_of(a.dtype()) + "\",\"shape\":[";
    for (int64_t d : a.shape()) header += std::to_string(d) + ",";
    if (header.back() == ',') header.pop_back();
    header += "],\"data_offsets\":[" + std::to_string(at) + "," + std::to_string(at + a.nbytes()) + "]},";
    at += a.nbytes();
  }
  if (header.back() == ',') header.pop_back();
  header += '}';
  header.append((8 - header.size() % 8) % 8, ' ');
  std::string out;
  append_little<uint64_t>(out, header.size());
  out += header;
  for (const auto& [name, a] : rows)
    if (a.nbytes()) out.append(static_cast<const char*>(a.data()), a.nbytes());
  return out;
}

std::pair<NamedArrays, Metadata> parse_safetensors(std::string_view bytes, const std::string& where) {
  ByteReader in(bytes, where);
  const auto length = in.little<uint64_t>("the header's length");
  if (length > kMostHeader) in.fail("the header claims ", length, " bytes; this is no safetensors file");
  const std::string_view text = in.take(length, "the header");
  const Json header = parse_json(text, where);
  const std::string_view data = bytes.substr(in.position());
  const HeaderReader reader(in);
  Metadata metadata;
  std::vector<Entry> entries;
  for (const auto& [name, j] : reader.as<JsonObject>(header, "the header", "an object")) {
    if (name != "__metadata__") {
      entries.push_back(reader.entry(name, j));
      continue;
    }
    if (std::holds_alternative<std::monostate>(j.value)) continue;  // MLX writes null where there is none
    for (const auto& [k, v] : reader.as<JsonObject>(j, name, "an object"))
      metadata[k] = reader.as<std::string>(v, name, "strings");
  }
  // The format wants the arrays side by side over the whole rest of the file: nothing hidden, nothing shared.
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });
  uint64_t at = 0;
  NamedArrays arrays;
  for (const Entry& e : entries) {
    if (e.begin != at || e.end > data.size())
      in.fail("'", e.name, "' has the bytes ", e.begin, " to ", e.end, "; expected them from ", at, ", within ",
              data.size());
    at = e.end;
    arrays.emplace(e.name, array_from(data.substr(e.begin, e.end - e.begin), e.shape, e.dtype));
  }
  if (at != data.size()) in.fail("the file has ", data.size() - at, " bytes behind its last array");
  return {arrays, metadata};
}

void save_safetensors(const std::string& path, const NamedArrays& arrays, const Metadata& metadata) {
  write_file(path, safetensors_bytes(arrays, metadata));
}
std::pair<NamedArrays, Metadata> load_safetensors(const std::string& path) {
  return parse_safetensors(read_file(path), path);
}

}  // namespace nhwc
