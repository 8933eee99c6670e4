# tests/apple/mutation/mutants.py -- plants switchable defects in Metal kernels
"""A barrier less, a bound check less, an edge off by one. All defects are planted at once, each behind its number, so
one compilation serves every mutant. Which one acts, and which would have made a difference, is in a file that the
compiled kernels and whoever runs them share: see Board."""

import dataclasses
import mmap
import pathlib
import re

METAL = pathlib.Path(__file__).resolve().parents[3] / "metal"
BOARD_BYTES = 1 << 16
REACHED, DIFFERENT = 1, 2

# Begins every topic. An operand is computed once, whatever it does besides; without the file nothing acts.
SWITCH = """
extern "C" char* getenv(const char*);
extern "C" int open(const char*, int, ...);
extern "C" int close(int);
extern "C" void* mmap(void*, unsigned long, int, int, int, long);
#define NHWC_UNSEEN __attribute__((noinline, no_sanitize("thread", "address")))
static unsigned char* nhwc_board = nullptr;
__attribute__((constructor)) NHWC_UNSEEN static void nhwc_find_board() {
  const char* path = getenv("NHWC_MUTATION_BOARD");
  const int file = path ? open(path, 2) : -1;
  if (file < 0) return;
  void* found = mmap(nullptr, BOARD_BYTES, 3, 1, file, 0);
  close(file);
  if (found != (void*)-1) nhwc_board = (unsigned char*)found;
}
NHWC_UNSEEN static bool nhwc_decide(int first, int kinds, bool right, bool edge) {
  if (!nhwc_board) return right;
  const bool wrong[] = {edge, true, false};
  const int acting = *(const volatile int*)nhwc_board;
  for (int i = 0; i < kinds; ++i) {
    unsigned char* mark = nhwc_board + 4 + first + i;
    *mark |= wrong[i] == right ? 1 : 3;
    if (acting == first + i) right = wrong[i];
  }
  return right;
}
NHWC_UNSEEN static bool nhwc_skip(int number) { return !nhwc_decide(number, 1, true, false); }
""".replace("BOARD_BYTES", str(BOARD_BYTES))
COMPARE = {"<": ("lt", "<="), "<=": ("le", "<"), ">": ("gt", ">="), ">=": ("ge", ">")}
for right, (name, edge) in COMPARE.items():
    SWITCH += f"""template <int kinds, class A, class B> static inline bool nhwc_{name}(int n, A a, B b) {{
  return nhwc_decide(n, kinds, a {right} b, a {edge} b);
}}
"""

BARRIER = re.compile(r"\b(?:metal::)?(?:threadgroup_barrier|simdgroup_barrier|barrier)\s*\([^;{}]*\)\s*;")
COMPARISON = re.compile(r" (<=|>=|<|>) ")
# Where an operand of a comparison ends: whatever binds weaker, or closes.
ENDS = ("&&", "||", "==", "!=", "?", ":", ",", ";", "=", "{", "}", "&", "|", "^")
# Lines that the compiler evaluates itself.
CONSTANT = re.compile(r"^\s*(#|template\b|static_assert\b|using\b|typedef\b)|\bconstexpr\b")
FUNCTION = re.compile(r"\b(\w+)\s*\([^;{}]*\)\s*(?:const\s*)?(?::\s[^;]*)?\{")
# What it may find before a brace beside a function's name: statements, and conversions in their headers.
STATEMENTS = {"if", "for", "while", "switch", "int", "long", "uint", "ulong", "float"}


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One defect: where it is, and what was done there."""

    number: int
    file: str
    line: int
    function: str
    kind: str  # "barrier", "edge", "always" or "never"
    text: str  # of the barrier or the comparison; " #2" follows where it is the second such of its function

    @property
    def key(self):
        """What names it in any version of the file in which it still is what it was."""
        return self.file, self.function, self.text, self.kind

    def __str__(self):
        return f"{self.number} {self.file}:{self.line}: {self.function}: {self.kind}: {self.text}"


class Board:
    """The file that the kernels read: the number of the defect that acts (0: none), and a mark for each defect."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.path.write_bytes(bytes(BOARD_BYTES))
        with open(self.path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), BOARD_BYTES)

    def set(self, number):
        """Lets that defect act, and wipes the marks."""
        self.memory[:] = number.to_bytes(4, "little") + bytes(BOARD_BYTES - 4)

    def marks(self):
        """{number: REACHED, and DIFFERENT where the defect would have changed what happens next}"""
        marks = self.memory[4:]
        return {number: mark for number, mark in enumerate(marks) if mark}


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
    """(begin, end, kinds, replacement with {n} for the number of the first of the kinds) of every place, in order."""
    code = blank_comments(source)
    for m in BARRIER.finditer(code):
        if not CONSTANT.search(line_of(code, m.start())):
            yield m.start(), m.end(), ["barrier"], "if (!nhwc_skip({n})) " + source[m.start() : m.end()]
    for m in COMPARISON.finditer(code):
        if CONSTANT.search(line_of(code, m.start())):
            continue
        begin, end = operand(code, m.start() - 1, -1) + 1, operand(code, m.end(), 1)
        text = source[begin:end].strip()
        if not text or "template" in text or text.count("(") != text.count(")"):
            continue
        kinds = ["edge"] if in_loop_header(code, m.start()) else ["edge", "always", "never"]
        left, right = source[begin : m.start()], source[m.end() : end]
        yield begin, end, kinds, f" nhwc_{COMPARE[m[1]][0]}<{len(kinds)}>({{n}}, {left.strip()}, {right.strip()})"


def function_at(code, at):
    """The name of the function around `at`."""
    code = re.sub(r"\[\[[^][]*\]\]", "", code[:at])
    names = [m[1] for m in FUNCTION.finditer(code) if m[1] not in STATEMENTS]
    return names[-1] if names else ""


def plant(source, name, first):
    """The source with every defect behind its number, from `first` on, and the list of them."""
    code = blank_comments(source)
    mutants, pieces, at, seen = [], [], 0, {}
    for begin, end, kinds, replacement in sorted(sites(source)):
        if begin < at:
            continue  # inside one that is planted already
        original = source[begin:end]
        line = source.count("\n", 0, begin + len(original) - len(original.lstrip())) + 1
        text, function = " ".join(original.split()), function_at(code, begin)
        times = seen[function, text] = seen.get((function, text), 0) + 1
        text += f" #{times}" if times > 1 else ""
        pieces += [source[at:begin], replacement.replace("{n}", str(first + len(mutants)))]
        pieces += ["\n" * (original.count("\n") - replacement.count("\n"))]
        mutants += [Mutant(first + len(mutants) + i, name, line, function, kind, text) for i, kind in enumerate(kinds)]
        at = end
    return "".join([*pieces, source[at:]]), mutants


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
