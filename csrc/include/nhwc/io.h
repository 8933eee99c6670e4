// csrc/include/nhwc/io.h -- weight files: npy, npz, safetensors
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "nhwc/array.h"

namespace nhwc {

using NamedArrays = std::map<std::string, Array>;
using Metadata = std::map<std::string, std::string>;

// Files come from anywhere: every length is checked before it is used, and what does not fit raises ValueError that
// names the file and the place. In npy and npz, bfloat16 is written as MLX writes it, which NumPy reads as raw bytes
// (V2).

void save_npy(const std::string& path, const Array& a);
Array load_npy(const std::string& path);
void save_npz(const std::string& path, const NamedArrays& arrays, bool compressed = false);
NamedArrays load_npz(const std::string& path);
void save_safetensors(const std::string& path, const NamedArrays& arrays, const Metadata& metadata = {});
std::pair<NamedArrays, Metadata> load_safetensors(const std::string& path);

/// The same from and to memory: what the files hold.
std::string npy_bytes(const Array& a);
Array parse_npy(std::string_view bytes, const std::string& where);
std::string npz_bytes(const NamedArrays& arrays, bool compressed = false);
NamedArrays parse_npz(std::string_view bytes, const std::string& where);
std::string safetensors_bytes(const NamedArrays& arrays, const Metadata& metadata);
std::pair<NamedArrays, Metadata> parse_safetensors(std::string_view bytes, const std::string& where);

}  // namespace nhwc
