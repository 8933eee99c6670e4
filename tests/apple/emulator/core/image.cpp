// tests/apple/emulator/core/image.cpp -- a module in memory, and the .metal line of an address in its code
#include <elf.h>
#include <link.h>

#include <cstdio>
#include <cstring>

#include "core.h"

namespace emu {
namespace {

struct Range {
  uintptr_t base = 0, begin = 0, end = 0;
  bool has(const void* p) const { return uintptr_t(p) >= begin && uintptr_t(p) < end; }
};
Range module_range, own_range;
std::string module_path;

/// The loaded object that an address lies in.
Range range_of(const void* address) {
  struct Search {
    uintptr_t address;
    Range found;
  } search{uintptr_t(address), {}};
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* context) {
        auto& s = *static_cast<Search*>(context);
        Range range{info->dlpi_addr, ~uintptr_t(0), 0};
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          if (info->dlpi_phdr[i].p_type != PT_LOAD) continue;
          const uintptr_t at = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
          range.begin = at < range.begin ? at : range.begin;
          range.end = at + info->dlpi_phdr[i].p_memsz > range.end ? at + info->dlpi_phdr[i].p_memsz : range.end;
        }
        if (s.address < range.begin || s.address >= range.end) return 0;
        s.found = range;
        return 1;
      },
      &search);
  return search.found;
}

std::string file_text(const std::string& path) {
  std::string text;
  if (FILE* file = std::fopen(path.c_str(), "rb")) {
    char part[1 << 16];
    for (size_t n; (n = std::fread(part, 1, sizeof part, file)) > 0;) text.append(part, n);
    std::fclose(file);
  }
  return text;
}

std::string section(const std::string& file, const char* wanted) {
  if (file.size() < sizeof(Elf64_Ehdr)) return "";
  const auto* header = reinterpret_cast<const Elf64_Ehdr*>(file.data());
  const auto* sections = reinterpret_cast<const Elf64_Shdr*>(file.data() + header->e_shoff);
  const char* names = file.data() + sections[header->e_shstrndx].sh_offset;
  for (int i = 0; i < header->e_shnum; ++i)
    if (!std::strcmp(names + sections[i].sh_name, wanted))
      return file.substr(sections[i].sh_offset, sections[i].sh_size);
  return "";
}

/// Reads the numbers of DWARF.
struct Reader {
  const unsigned char *at, *end;
  template <class T>
  T get() {
    T value{};
    if (at + sizeof(T) > end) {
      at = end;
      return value;
    }
    std::memcpy(&value, at, sizeof value);
    at += sizeof value;
    return value;
  }
  uint64_t leb() {
    uint64_t value = 0;
    for (int shift = 0; at < end; shift += 7) {
      const unsigned char byte = *at++;
      value |= uint64_t(byte & 127) << shift;
      if (!(byte & 128)) break;
    }
    return value;
  }
  int64_t signed_leb() {
    int64_t value = 0;
    int shift = 0;
    for (; at < end; shift += 7) {
      const unsigned char byte = *at++;
      value |= int64_t(uint64_t(byte & 127) << shift);
      if (byte & 128) continue;
      shift += 7;
      return byte & 64 && shift < 64 ? value | -(int64_t(1) << shift) : value;
    }
    return value;
  }
  std::string string() {
    const unsigned char* start = at;
    while (at < end && *at) ++at;
    std::string text(reinterpret_cast<const char*>(start), size_t(at - start));
    if (at < end) ++at;
    return text;
  }
};

/// The line program of one unit (DWARF 4), run as far as `target` asks.
struct LineProgram {
  uint64_t target;
  uint64_t address = 0, file = 1;
  int64_t line = 1;
  uint64_t best_address = 0, best_file = 0;
  int64_t best_line = 0;
  uint64_t last_address = 0, last_file = 0;
  int64_t last_line = 0;
  bool open = false;

  void row(bool ends) {
    if (open && last_address <= target && target < address) {
      best_address = last_address;
      best_file = last_file;
      best_line = last_line;
    }
    last_address = address;
    if (line || !open) {  // line 0: code that the compiler could not place goes with what is before it
      last_file = file;
      last_line = line;
    }
    open = !ends;
    if (!ends) return;
    address = 0;
    file = 1;
    line = 1;
  }
};

struct Header {
  uint8_t least_length, line_range, opcode_base;
  int8_t line_base;
  std::vector<uint8_t> lengths;
  std::vector<std::string> files{""};
};

Header read_header(Reader& unit) {
  Header header;
  header.least_length = unit.get<uint8_t>();
  unit.get<uint8_t>();  // operations per instruction
  unit.get<uint8_t>();  // whether rows are statements at first
  header.line_base = unit.get<int8_t>();
  header.line_range = unit.get<uint8_t>();
  header.opcode_base = unit.get<uint8_t>();
  for (int i = 1; i < header.opcode_base; ++i) header.lengths.push_back(unit.get<uint8_t>());
  std::vector<std::string> folders{""};
  for (std::string folder; !(folder = unit.string()).empty();) folders.push_back(folder);
  for (std::string name; !(name = unit.string()).empty();) {
    const uint64_t folder = unit.leb();
    unit.leb();
    unit.leb();
    const bool absolute = name[0] == '/' || !folder || folder >= folders.size();
    header.files.push_back(absolute ? name : folders[folder] + "/" + name);
  }
  return header;
}

void extended(Reader& unit, LineProgram& state) {
  const uint64_t length = unit.leb();
  const unsigned char* next = unit.at + length;
  const uint8_t code = unit.get<uint8_t>();
  if (code == 1) state.row(true);
  if (code == 2) state.address = unit.get<uint64_t>();
  unit.at = next;
}

void run(Reader& unit, const Header& header, LineProgram& state) {
  const auto advance = [&](uint64_t operation) { state.address += operation * header.least_length; };
  while (unit.at < unit.end) {
    const uint8_t code = unit.get<uint8_t>();
    if (code >= header.opcode_base) {
      const uint8_t special = uint8_t(code - header.opcode_base);
      advance(special / header.line_range);
      state.line += header.line_base + special % header.line_range;
      state.row(false);
      continue;
    }
    switch (code) {
      case 0:
        extended(unit, state);
        break;
      case 1:
        state.row(false);
        break;
      case 2:
        advance(unit.leb());
        break;
      case 3:
        state.line += unit.signed_leb();
        break;
      case 4:
        state.file = unit.leb();
        break;
      case 8:
        advance(uint64_t(255 - header.opcode_base) / header.line_range);
        break;
      case 9:
        state.address += unit.get<uint16_t>();
        break;
      default:
        for (int i = 0; i < header.lengths[code - 1]; ++i) unit.leb();
    }
  }
}

}  // namespace

void begin_image(const msl::ModuleInfo* module, const std::string& path) {
  module_range = range_of(module);
  module_path = path;
  if (!own_range.end) own_range = range_of(&launch);
}

bool in_module(const void* p) { return module_range.has(p); }

bool in_own_memory(const void* p) {
  const auto within = [p](const auto& v) {
    return !v.empty() && static_cast<const void*>(v.data()) <= p && p < static_cast<const void*>(v.data() + v.size());
  };
  return own_range.has(p) || within(launch.simds) || within(launch.threads);
}

uint32_t code_offset(const void* code) { return uint32_t(uintptr_t(code) - module_range.base); }

std::string line_of_offset(uint32_t offset) {
  const std::string lines = section(file_text(module_path), ".debug_line");
  const auto* data = reinterpret_cast<const unsigned char*>(lines.data());
  Reader all{data, data + lines.size()};
  while (all.at < all.end) {
    const uint32_t length = all.get<uint32_t>();
    Reader unit{all.at, all.at + length};
    all.at += length;
    if (unit.end > all.end || unit.get<uint16_t>() != 4) continue;
    unit.get<uint32_t>();  // length of the header
    const Header header = read_header(unit);
    LineProgram state{.target = offset ? offset - 1 : 0};
    run(unit, header, state);
    if (state.best_line && state.best_file < header.files.size())
      return header.files[state.best_file] + ":" + std::to_string(state.best_line);
  }
  return "";
}

}  // namespace emu
