# tests/apple/mutation/mutants.py -- plants switchable defects in Metal kernels
"""A barrier less, a bound check less, an edge off by one. All defects are planted at once, each behind its number:
`nhwc_mutant` is read from the environment when the compiled library is loaded, so one compilation serves every mutant,
and 0 is the kernel as it stands."""

import dataclasses
import pathlib
import re

METAL = pathlib.Path(__file__).resolve().parents[3] / "metal"

SWITCH = """
extern "C" char* getenv(const char*);
extern "C" int atoi(const char*);
static int nhwc_mutant = 0;
__attribute__((constructor, no_sanitize("thread", "address"))) static void nhwc_read_mutant() {
  const char* number = getenv("NHWC_MUTANT");
  nhwc_mutant = number ? atoi(number) : 0;
}
"""

BARRIER = re.compile(r"\b(?:metal::)?(?:threadgroup_barrier|simdgroup_barrier|barrier)\s*\([^;{}]*\)\s*;")
COMPARISON = re.compile(r" (<=|>=|<|>) ")
OFF_BY_ONE = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
# Where an operand of a comparison ends: whatever binds weaker, or closes.
ENDS = ("&&", "||", "==", "!=", "?", ":", ",", ";", "=", "{", "}")
# Lines that the compiler evaluates itself.
CONSTANT = re.compile(r"^\s*(#|template\b|static_assert\b|using\b|typedef\b)|\bconstexpr\b")


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One defect: where it is, and what was done there."""

    number: int
    file: str
    line: int
    kind: str  # "barrier", "always", "never" or "edge"
    text: str

    def __str__(self):
        return f"{self.number} {self.file}:{self.line}: {self.kind}: {self.text}"


def blank_comments(source):
    """The source with comments and strings as spaces, so that positions stay."""
    return re.sub(
        r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\])*"',
        lambda m: re.sub(r"[^\n]", " ", m[0]),
        source,
        flags=re.DOTALL,
    )


def operand(code, at, step):
    """The far end of the operand that begins beside position `at`, leftwards (step -1) or rightwards (1)."""
    opens, closes = ("([", ")]") if step > 0 else (")]", "([")
    depth, i = 0, at
    while 0 <= i < len(code):
        c = code[i]
        if c in opens:
            depth += 1
        elif c in closes:
            if depth == 0:
                break
            depth -= 1
        elif depth == 0:
            pair = code[i : i + 2] if step > 0 else code[i - 1 : i + 1]
            scope = c == ":" and ":" in (code[i - 1 : i], code[i + 1 : i + 2])  # of a name
            if pair in ENDS or (c in ENDS and pair not in ("<=", ">=") and not scope):
                break
            if step < 0 and re.match(r"\breturn\b", code[max(0, i - 5) : i + 1]):
                break
        i += step
    return i


def line_of(code, at):
    begin = code.rfind("\n", 0, at) + 1
    end = code.find("\n", at)
    return code[begin : end if end >= 0 else len(code)]


def in_loop_header(code, at):
    """Whether `at` stands in the parentheses of a `for` or `while`: a loop that never ends tells nothing."""
    begin = operand(code, at, -1)
    while begin > 0 and code[begin] not in "({}":
        begin = operand(code, begin - 1, -1)
    return bool(re.search(r"\b(for|while)\s*$", code[:begin])) if begin > 0 else False


def sites(source):
    """(begin, end, kind, replacement with {n} for the mutant's number) of every defect, in order."""
    code = blank_comments(source)
    for m in BARRIER.finditer(code):
        if CONSTANT.search(line_of(code, m.start())):
            continue
        yield m.start(), m.end(), "barrier", "if (nhwc_mutant != {n}) " + source[m.start() : m.end()]
    for m in COMPARISON.finditer(code):
        if CONSTANT.search(line_of(code, m.start())):
            continue
        begin, end = operand(code, m.start() - 1, -1) + 1, operand(code, m.end(), 1)
        text = source[begin:end].strip()
        if not text or "template" in text or text.count("(") != text.count(")"):
            continue
        edge = source[begin : m.start()] + f" {OFF_BY_ONE[m[1]]} " + source[m.end() : end]
        yield begin, end, "edge", " (nhwc_mutant == {n} ? (" + edge.strip() + ") : (" + text + "))"
        if in_loop_header(code, m.start()):
            continue
        yield begin, end, "always", " (nhwc_mutant == {n} || (" + text + "))"
        yield begin, end, "never", " (nhwc_mutant != {n} && (" + text + "))"


def plant(source, name, first):
    """The source with every defect behind its number, from `first` on, and the list of them."""
    by_place = {}
    for begin, end, kind, text in sites(source):
        by_place.setdefault((begin, end), []).append((kind, text))
    mutants, pieces, at = [], [], 0
    for (begin, end), defects in sorted(by_place.items()):
        if begin < at:
            continue  # inside one that is planted already
        original = source[begin:end]
        planted = original
        for kind, text in defects:
            number = first + len(mutants)
            line = source.count("\n", 0, begin + len(original) - len(original.lstrip())) + 1
            mutants.append(Mutant(number, name, line, kind, " ".join(original.split())))
            wrapped = text.replace("{n}", str(number))
            planted = wrapped if planted == original else nest(planted, original.strip(), wrapped)
        pieces += [source[at:begin], planted]
        at = end
    return "".join([*pieces, source[at:]]), mutants


def nest(planted, original, wrapped):
    """`planted` with its innermost `(original)` replaced by `wrapped`: several defects of one comparison."""
    at = planted.rfind(f"({original})")
    return planted[:at] + "(" + wrapped.strip() + ")" + planted[at + len(original) + 2 :]


def plant_all(target, metal=METAL):
    """Copies the folder of kernels to `target` with every defect planted; returns the mutants."""
    mutants = []
    target = pathlib.Path(target)
    for path in sorted(p for p in metal.rglob("*") if p.is_file()):
        name = path.relative_to(metal)
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        source = path.read_text()
        if path.suffix in {".metal", ".h"} and name.parts[0] not in {"params", "instances"}:
            source, planted = plant(source, name.as_posix(), len(mutants) + 1)
            mutants += planted
            if path.suffix == ".metal":
                source = SWITCH + source
        copy.write_text(source)
    return mutants
