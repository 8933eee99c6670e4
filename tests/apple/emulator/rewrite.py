# tests/apple/emulator/rewrite.py -- turns a preprocessed .metal file into C++ that registers its kernels
"""MSL is C++ but for attributes, address spaces, threadgroup arrays and function constants.

The text keeps its lines and its line markers, so that every message of the compiler points at the .metal file. What the
attributes said is written down in tables at the end (see include/msl/kernel.h).
"""

import re
from dataclasses import dataclass, field

BUILTINS = (
    "thread_position_in_grid",
    "thread_position_in_threadgroup",
    "threadgroup_position_in_grid",
    "threads_per_threadgroup",
    "dispatch_threads_per_threadgroup",
    "threads_per_grid",
    "threadgroups_per_grid",
    "thread_index_in_threadgroup",
    "thread_index_in_simdgroup",
    "simdgroup_index_in_threadgroup",
    "simdgroups_per_threadgroup",
    "dispatch_simdgroups_per_threadgroup",
    "threads_per_simdgroup",
    "thread_index_in_quadgroup",
    "quadgroup_index_in_threadgroup",
)
BINDING = re.compile(r"\b(buffer|threadgroup|" + "|".join(BUILTINS) + r")\b")
ATTRIBUTE = re.compile(
    r"\b(kernel|host_name|buffer|threadgroup|function_constant|max_total_threads_per_threadgroup|visible|stitchable|"
    + "|".join(BUILTINS)
    + r")\b"
)
CLOSING = {"(": ")", "[": "]", "{": "}", "<": ">"}


class RewriteError(Exception):
    """Says "file:line: error: what"."""


@dataclass
class Kernel:
    """A function marked [[kernel]], as it is written: perhaps a template."""

    function: str
    file: str
    line: int
    parameters: list  # as read_parameter returns them
    max_threads: int
    needs: str
    span: tuple  # of its body in the text


@dataclass
class Unit:
    """What was found in a file."""

    kernels: dict = field(default_factory=dict)  # function -> Kernel
    instances: list = field(default_factory=list)  # (host name, function, expression that names the instance)
    constants: list = field(default_factory=list)  # (name, index, type)
    derived: list = field(default_factory=list)  # (name, number)


def closing(text, start):
    """Where the bracket at `start` closes."""
    opening, depth = text[start], 0
    for i in range(start, len(text)):
        if text[i] == opening:
            depth += 1
        elif text[i] == CLOSING[opening]:
            depth -= 1
            if not depth:
                return i
    raise RewriteError(f"{place(text, start)}: error: no {CLOSING[opening]} closes this {opening}")


def split(text):
    """The parts between commas that stand in no bracket."""
    parts, depth, current = [], 0, ""
    for character in text:
        depth += (character in "([{<") - (character in ")]}>")
        if character == "," and not depth:
            parts.append(current)
            current = ""
        else:
            current += character
    return [*parts, current] if current.strip() else parts


MARKER = re.compile(r'^# (\d+) "((?:[^"\\]|\\.)*)".*\n', re.M)


def place(text, position):
    """The file and line of a position, by the last line marker before it."""
    file, line, start = "<source>", 1, 0
    for marker in MARKER.finditer(text, 0, position + 1):
        if marker.end() > position:
            break
        file, line, start = marker[2], int(marker[1]), marker.end()
    return f"{file}:{line + text.count(chr(10), start, position)}"


def lines_of(text):
    """As many line ends as a removed text had."""
    return "\n" * text.count("\n")


def attributes(text):
    """(start, end, inside) of every [[...]] that is MSL's own."""
    position = 0
    while (start := text.find("[[", position)) >= 0:
        end = closing(text, start) + 1
        inside = text[start + 2 : end - 2]
        if text[end - 2 : end] == "]]" and ATTRIBUTE.search(inside):
            yield start, end, inside
            position = end
        else:
            position = start + 2


def without_attributes(text):
    out, position = [], 0
    for start, end, inside in attributes(text):
        out += [text[position:start], lines_of(inside)]
        position = end
    return "".join([*out, text[position:]])


def argument(name, inside):
    """What stands in name(...) of an attribute; None where it is not there."""
    found = re.search(rf"\b{name}\s*\(", inside)
    return inside[found.end() : closing(inside, found.end() - 1)].strip() if found else None


def read_parameter(text, start, parameter, taken):
    """(name, kind, index, enabled, "constant" where that is its space) of a kernel's parameter."""
    inside = ", ".join(i for _, _, i in attributes(parameter))
    found = BINDING.search(inside)
    declarator = without_attributes(parameter).split("=")[0].strip()
    name = re.search(r"(\w+)\s*(?:\[[^\]]*\])?\s*$", declarator)
    if not found and re.search(r"[*&]\s*\w*\s*$|\]$", declarator):
        # As in Metal, the index is then the first that no parameter before it has.
        index = next(i for i in map(str, range(32)) if i not in taken)
        kind = "threadgroup" if re.search(r"\bthreadgroup\b", declarator) else "buffer"
    elif not found:
        raise RewriteError(
            f"{place(text, start)}: error: kernel parameter '{' '.join(declarator.split())}' has no binding attribute"
        )
    else:
        kind = found[1]
        index = argument(kind, inside) if kind in ("buffer", "threadgroup") else "0"
    space = "constant" if re.search(r"\bconstant\b", declarator) else ""
    return name[1] if name else "", kind, index, argument("function_constant", inside), space


HEAD = re.compile(r"\bvoid\s+(\w+)\s*\(")
KERNEL_WORD = re.compile(r"\[\[[^\[\]]*\bkernel\b[^\[\]]*\]\]|(?<!\[)\bkernel\b(?=\s*(?:\[\[|void|static|inline))")


def read_kernels(text, unit):
    """Fills unit.kernels, and unit.instances with those that are no templates."""
    for marked in KERNEL_WORD.finditer(text):
        head = HEAD.search(text, marked.end())
        if not head or re.search(r"[;{}]", without_attributes(text[marked.end() : head.start()])):
            continue
        end = closing(text, head.end() - 1)
        body = re.compile(r"\s*\{").match(text, end + 1)
        if not body:
            continue
        position, parameters = head.end(), []
        for parameter in split(text[head.end() : end]):
            taken = {index for _, kind, index, _, _ in parameters if kind == "buffer"}
            start = position + len(parameter) - len(parameter.lstrip())
            parameters.append(read_parameter(text, start, parameter, taken))
            position += len(parameter) + 1
        before = text[max(text.rfind(c, 0, marked.start()) for c in ";}") + 1 : head.start()]
        said = ", ".join(inside for _, _, inside in attributes(before))
        threads = argument("max_total_threads_per_threadgroup", said)
        words = set(re.findall(r"\w+", text[body.end() : closing(text, body.end() - 1)]))
        file, _, line = place(text, head.start()).rpartition(":")
        unit.kernels[head[1]] = Kernel(
            head[1],
            file,
            int(line),
            parameters,
            int(threads) if threads and threads.isdigit() else 0,
            "".join(f"{name} " for name, _, _ in unit.constants if name in words),
            (body.end() - 1, closing(text, body.end() - 1)),
        )
        if not re.search(r"\btemplate\s*<", before):
            host_name = argument("host_name", said)
            unit.instances.append((strings(host_name) if host_name else head[1], head[1], head[1]))


def strings(literal):
    """The text of string literals that stand side by side."""
    return "".join(re.findall(r'"([^"]*)"', literal))


def read_instances(text, unit):
    """`template [[host_name("x")]] [[kernel]] ... f<...>...;`: fills unit.instances."""
    for found in re.finditer(r"\btemplate\s*(?=\[\[)", text):
        end = text.index(";", found.end())
        declaration = text[found.end() : end]
        host_name = argument("host_name", ", ".join(inside for _, _, inside in attributes(declaration)))
        plain = re.sub(r"\bkernel\b", " ", without_attributes(declaration)).strip()
        if plain.startswith("decltype"):
            plain = plain[closing(plain, plain.index("(")) + 1 :]
        function = re.match(r"\s*(?:void\s+)?(\w+)\s*<", plain)
        if not host_name or not function:
            raise RewriteError(f"{place(text, found.start())}: error: not understood: explicit instantiation")
        stop = closing(plain, function.end() - 1)
        unit.instances.append(
            (strings(host_name), function[1], function[1] + " ".join(plain[function.end() - 1 : stop + 1].split()))
        )


MEMBER = re.compile(r"\)\s*(?:const\s+)?(?:threadgroup|thread|device|constant)\b(?=\s*[:{;])")
DEFINITION = re.compile(r"\)\s*(?:const\s*)?(?=\{)|>\s*(?=\{)")
STATEMENT = re.compile(r"\s*(?:if|else|for|while|do|switch|return|case)\b")
SPACES = re.compile(r"\b(?:threadgroup|thread|device|constant)\b")


def scopes(text, positions):
    """For each of the ascending positions, where the brace opens that it stands in."""
    stack, out, at = [-1], [], 0
    for brace in [*re.finditer(r"[{}]", text), None]:
        while at < len(positions) and (brace is None or positions[at] < brace.start()):
            out.append(stack[-1])
            at += 1
        if brace and brace[0] == "{":
            stack.append(brace.start())
        elif brace and len(stack) > 1:
            stack.pop()
    return out


def merge_overloads(text):
    """Functions and specialisations that differ by address spaces alone are one here: the first stays."""
    found = sorted([*MEMBER.finditer(text), *DEFINITION.finditer(text)], key=lambda match: match.start())
    seen, out, position = set(), [], 0
    for head, scope in zip(found, scopes(text, [head.start() for head in found]), strict=True):
        start = max(text.rfind(c, 0, head.start()) for c in ";{}") + 1
        declaration = text[start : head.end()]
        if start < position or STATEMENT.match(declaration) or not SPACES.search(declaration):
            continue
        key = (scope, " ".join(SPACES.sub(" ", declaration).split()))
        if key not in seen:
            seen.add(key)
            out += [text[position : head.start()], SPACES.sub("", head[0])]
            position = head.end()
            continue
        stop = re.compile(r"[{;]").search(text, head.end())
        end = (closing(text, stop.start()) if stop[0] == "{" else stop.start()) + 1
        if text[end : end + 1] == ";":
            end += 1
        out += [text[position:start], lines_of(text[start:end])]
        position = end
    return "".join([*out, text[position:]])


CONSTANT = re.compile(r"\bconstant\s+(?:constexpr\s+|static\s+)*(\w+)\s+(\w+)\s*(?=\[\[[^\]]*\bfunction_constant\b)")


def rewrite_constants(text, unit):
    """Function constants, and program-scope constants that are made of them, become variables."""
    out, position = [], 0
    for found in CONSTANT.finditer(text):
        start, end, inside = next(attributes(text[found.end() :]))
        index = argument("function_constant", inside)
        unit.constants.append((found[2], index, found[1]))
        out += [
            text[position : found.start()],
            f"static {found[1]} {found[2]}; static bool msl_defined_{found[2]}",
            lines_of(found[0]) + lines_of(inside),
        ]
        position = found.end() + end
        del start
    text = "".join([*out, text[position:]])
    names = {name for name, _, _ in unit.constants}

    def derive(found):
        if not names & set(re.findall(r"\w+", found[3])):
            return found[0]
        names.add(found[2])
        unit.derived.append(f"msl_derive_{found[2]}")
        return (
            f"static {found[1]} {found[2]}; static void msl_derive_{found[2]}() "
            f"{{ {found[2]} = {found[1]}({found[3]}); }}{lines_of(found[0][: found.start(3) - found.start()])}"
        )

    return (
        re.sub(r"(?:static\s+)?\bconstant\s+(?:constexpr\s+)?(\w+)\s+(\w+)\s*=\s*([^;{}]*);", derive, text)
        if names
        else text
    )


SHARED = re.compile(r"(?<=[;{}\n])(\s*)threadgroup\s+([^;{}]*);")


def shared_block(number, kind, name, dimensions):
    return (
        f"static char msl_key_{number}; typedef {kind} msl_block_{number}{dimensions};"
        f" msl_block_{number}& {name} ="
        f' msl::threadgroup_block<msl_block_{number}>(&msl_key_{number}, "{name}");'
    )


def rewrite_shared(text, declare=shared_block):
    """`threadgroup T a[N];` in a body becomes a reference to memory that the group's threads share."""
    number = 0

    def replace(found):
        nonlocal number
        before = re.sub(r"<.*>", "", found[2].split("[")[0], flags=re.S)
        declaration = re.match(r"((?:[\w:]+|<[^;]*?>|\s)+?)\s*\b(\w+\s*(?:[\[,].*)?)$", found[2].strip(), re.S)
        if not declaration or re.search(r"[=*&(]", before):
            return found[0]
        out = []
        for declarator in split(declaration[2]):
            name = re.match(r"\s*(\w+)", declarator)
            dimensions = " ".join(declarator[name.end() :].split())
            number += 1
            out.append(declare(number, " ".join(declaration[1].split()), name[1], dimensions))
        return found[1] + " ".join(out) + lines_of(found[2])

    return SHARED.sub(replace, text)


def registration(unit, traced):
    """The tables at the end of the file."""
    out = ['\n#line 1 "<registration>"', "namespace msl { const Runtime* runtime; }"]
    for i, (name, function, expression) in enumerate(unit.instances):
        if function not in unit.kernels:
            raise RewriteError(f"<source>:1: error: {name} is an instance of '{function}', which is no kernel here")
        kernel = unit.kernels[function]
        bounds, infos = [], []
        out.append(f"using msl_signature_{i} = msl::Signature<decltype(&{expression})>;")
        for at, (parameter, kind, index, enabled, space) in enumerate(kernel.parameters):
            builtin = kind not in ("buffer", "threadgroup")
            bind = "builtin" if builtin else "buffer" if kind == "buffer" else "shared"
            bounds.append(f"msl::Bound<msl::Bind::{bind}, {index}, msl::Builtin::{kind if builtin else 'none'}>")
            if not builtin:
                facts = f"msl_signature_{i}::facts({at})"
                infos.append(
                    f'{{msl::Bind::{bind}, {index}, "{parameter}", {facts}.bytes, {facts}.reference, {facts}.written,'
                    f" {str(bool(space)).lower()},"
                    f" {'(const bool*)&' + enabled if enabled else 'nullptr'}}}"
                )
        if infos:
            out.append(f"static const msl::BindingInfo msl_bindings_{i}[] = {{{', '.join(infos)}}};")
        table = f"msl_bindings_{i}" if infos else "nullptr"
        file = kernel.file.replace("\\", "\\\\").replace('"', '\\"')
        out.append(
            f'static const msl::KernelInfo msl_kernel_{i} = {{"{name}", "{file}", {kernel.line}, {kernel.max_threads},'
            f" {table}, {len(infos)}, &msl_signature_{i}::run<{', '.join(['&' + expression, *bounds])}>,"
            f' "{kernel.needs}"}};'
        )
    out.append("static const msl::KernelInfo msl_kernels[] = {")
    out += [f"  msl_kernel_{i}," for i in range(len(unit.instances))] + ["  {}};"]
    out.append("static const msl::ConstantInfo msl_constants[] = {")
    for name, index, kind in unit.constants:
        out.append(
            f'  {{"{name}", {index}, msl::constant_type<{kind}>(), sizeof({kind}), &{name}, &msl_defined_{name}}},'
        )
    out += [
        "  {}};",
        "__attribute__((disable_sanitizer_instrumentation)) static void msl_attach(const msl::Runtime* r) "
        "{ msl::runtime = r; }",
    ]
    out.append("static void msl_derive() { " + " ".join(f"{name}();" for name in unit.derived) + " }")
    out.append(
        "static const msl::ModuleInfo msl_info = {msl::kModuleVersion, msl_kernels, "
        f"{len(unit.instances)}, msl_constants, {len(unit.constants)}, msl_attach, msl_derive, {str(traced).lower()}}};"
    )
    out.append(
        '__attribute__((visibility("default"))) extern "C" const msl::ModuleInfo* msl_module_v1() { return &msl_info; }'
    )
    return "\n".join(out) + "\n"


BFLOAT_LITERAL = re.compile(r"(?<![\w.])((?:\d+\.\d*|\.\d+|\d+)(?:[eE][+-]?\d+)?)(?:bf|BF)\b")


def rewrite(text, traced=False, keep=None):
    """C++ of a preprocessed .metal file.

    Args:
      text: with its line markers, without comments.
      traced: whether it is compiled with --mode check.
      keep: names of the kernels that are wanted; None: all.
    """
    unit = Unit()
    text = merge_overloads(BFLOAT_LITERAL.sub(r"bfloat(\1)", text))
    text = rewrite_constants(text, unit)
    read_instances(text, unit)
    read_kernels(text, unit)
    if keep is not None:
        unit.instances = [instance for instance in unit.instances if instance[0] in keep]
        text = re.sub(r"\btemplate\s*(?=\[\[)[^;]*;", lambda found: lines_of(found[0]), text)
    return without_attributes(rewrite_shared(text)) + registration(unit, traced)
