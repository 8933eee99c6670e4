#!/usr/bin/env python3
# python/notices.py -- licences and a bill of materials of what is linked into a wheel's module
"""python python/notices.py FOLDER VERSION [--metal-cpp FOLDER]

Writes licenses/NAME/LICENSE and sboms/nhwc.cdx.json (CycloneDX 1.6; the folder of PEP 770) from the packages that the
build uses, so that both name the versions that are really in it."""

import argparse
import importlib.metadata
import json
import pathlib
import re
import sys

import nanobind


def nanobind_licence():
    files = importlib.metadata.files("nanobind") or []
    found = next((f for f in files if f.name == "LICENSE"), None)
    return found.read_text() if found else sys.exit("nanobind is installed without its licence")


def robin_map():
    """(version, licence) of the hash map that nanobind brings, whose licence is the first comment of its headers."""
    headers = pathlib.Path(nanobind.include_dir()).parent / "ext" / "robin_map" / "include" / "tsl"
    text = (headers / "robin_growth_policy.h").read_text()
    version = ".".join(re.findall(r"define TSL_RH_VERSION_\w+ (\d+)", text))
    comment = text[text.index("/**") + 3 : text.index("*/")]
    return version, "\n".join(line.strip().removeprefix("*").strip() for line in comment.strip().splitlines()) + "\n"


def component(name, version, licence, url):
    return {
        "type": "library",
        "bom-ref": name,
        "name": name,
        "version": version,
        "licenses": [{"license": {"id": licence}}],
        "externalReferences": [{"type": "vcs", "url": url}],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("version")
    parser.add_argument("--metal-cpp", type=pathlib.Path, help="Apple's headers, where they are compiled in")
    args = parser.parse_args()

    robin_version, robin_licence = robin_map()
    licences = {"nanobind": nanobind_licence(), "robin_map": robin_licence}
    parts = [
        component(
            "nanobind", importlib.metadata.version("nanobind"), "BSD-3-Clause", "https://github.com/wjakob/nanobind"
        ),
        component("robin_map", robin_version, "MIT", "https://github.com/Tessil/robin-map"),
    ]
    if args.metal_cpp:
        found = next(args.metal_cpp.glob("LICENSE*"), None)
        licences["metal-cpp"] = found.read_text() if found else sys.exit(f"{args.metal_cpp} has no licence in it")
        parts.append(component("metal-cpp", "unknown", "Apache-2.0", "https://developer.apple.com/metal/cpp/"))
    for name, text in licences.items():
        target = args.folder / "licenses" / name / "LICENSE"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    subject = {"type": "library", "bom-ref": "nhwc", "name": "nhwc", "version": args.version}
    subject["licenses"] = [{"license": {"id": "MIT"}}]
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": subject},
        "components": parts,
        "dependencies": [{"ref": "nhwc", "dependsOn": [p["bom-ref"] for p in parts]}],
    }
    (args.folder / "sboms").mkdir(parents=True, exist_ok=True)
    (args.folder / "sboms" / "nhwc.cdx.json").write_text(json.dumps(bill, indent=2) + "\n")


if __name__ == "__main__":
    main()
