# tests/apple/mutation/equivalent.py -- the mutants that change nothing, by equivalent.txt
import pathlib

LIST = pathlib.Path(__file__).resolve().parent / "equivalent.txt"


def read(planted, text=None):
    """{key of a mutant: why it changes nothing}

    A line is `file | function | comparison or barrier | kind, kind | reason`.
    Raises: ValueError for a line of which there is no such mutant: the kernel is another now.
    """
    text = LIST.read_text() if text is None else text
    known, reasons = {m.key for m in planted}, {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = [field.strip() for field in line.split(" | ")]
        if len(fields) != 5 or not all(fields):
            raise ValueError(f"{LIST.name}:{number}: expected five fields, got {line!r}")
        file, function, place, kinds, reason = fields
        for kind in kinds.split(", "):
            key = (file, function, place, kind)
            if key not in known or key in reasons:
                what = "is there twice" if key in reasons else "is no mutant (any more)"
                raise ValueError(f"{LIST.name}:{number}: {' | '.join(key)} {what}")
            reasons[key] = reason
    return reasons
