#!/usr/bin/env python3
# tools/check_layers.py -- fails on an include that points upwards, or across to a peer
"""The layers, from below; each may include only itself and those below it:

    base | plan | graph, kernels (+ simd, reference) | ops, backend, embed (peers)
    | eval, grad, trace, io (peers) | python/src

Public headers (csrc/include/nhwc) belong to the layer that implements them."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]

# What each folder may include, beside itself. `tests` sees everything.
BASE = {"base"}
PLAN = BASE | {"plan"}
GRAPH = PLAN | {"graph"}
KERNELS = PLAN | {"kernels", "simd"}
MAY = {
    "base": set(),
    "plan": BASE,
    "simd": BASE,
    "graph": PLAN,
    "kernels": PLAN | {"simd"},
    "reference": PLAN,
    "ops": GRAPH,
    "backend": GRAPH | KERNELS,
    "embed": KERNELS,
    "eval": GRAPH | KERNELS | {"ops", "backend"},
    "grad": GRAPH | {"ops"},
    "trace": GRAPH | {"ops"},
    "io": GRAPH | {"ops"},
    "python": None,
}

# Includes that the rule would refuse, and why they are right. "file -> header".
ALLOWED = {}

# The public header's own layer.
PUBLIC = {
    "dtype.h": "base",
    "shape.h": "base",
    "error.h": "base",
    "device.h": "base",
    "memory.h": "base",
    "host.h": "base",
    "kinds.inc": "base",
    "version.h": "base",
    "conv_args.h": "plan",
    "conv_plan.h": "embed",
    "c_api.h": "embed",
    "array.h": "graph",
    "ops.h": "ops",
    "transforms.h": "transforms",
    "profile.h": "eval",
    "io.h": "io",
    "nhwc.h": "everything",
}
# transforms.h declares what eval, grad and trace implement: those three may read it, and nobody below them.
ABOVE = {"transforms": {"eval", "grad", "trace", "python"}, "everything": {"python"}}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def layer_of(path):
    parts = path.relative_to(ROOT).parts
    if parts[0] == "python":
        return "python"
    if parts[0] == "csrc" and parts[1] == "include":
        return PUBLIC.get(parts[-1])
    return parts[1] if parts[0] == "csrc" else None


def target_of(header, folder):
    """The layer of an included header, or None for one that is not ours."""
    if header.startswith("nhwc/"):
        return PUBLIC.get(header.split("/", 1)[1], f"unlisted public header {header}")
    first = header.split("/")[0]
    if "/" in header and first in MAY:
        return first
    return folder if (ROOT / "csrc" / folder / header).exists() else None


def allowed(layer, target):
    if layer == target or layer == "python" or layer == "everything":
        return True
    if layer == "transforms":
        return target in {"base", "graph"}
    if target in ABOVE:
        return layer in ABOVE[target]
    return target in MAY[layer]


def main():
    bad, count = [], 0
    files = [
        p
        for top in ("csrc", "python/src")
        for p in sorted((ROOT / top).rglob("*"))
        if p.suffix in {".h", ".cpp", ".inl", ".inc"}
    ]
    for path in files:
        layer = layer_of(path)
        name = path.relative_to(ROOT)
        if layer not in MAY and layer not in ABOVE:
            bad.append(f"{name}: belongs to no layer; name it in tools/check_layers.py")
            continue
        for kind, header in INCLUDE.findall(path.read_text()):
            count += 1
            if kind == "<" and layer != "python" and re.match(r"(Python\.h|nanobind|pybind11|numpy)", header):
                bad.append(f"{name}: includes <{header}>; only python/src knows Python")
            target = target_of(header, layer)
            if target is None or f"{name} -> {header}" in ALLOWED:
                continue
            if not allowed(layer, target):
                bad.append(f'{name} ({layer}) includes "{header}" ({target}), which is not below it')
    for line in bad:
        print(line)
    print(f"layers: {len(files)} files, {count} includes, {len(bad)} wrong")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
