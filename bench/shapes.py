# bench/shapes.py -- the convolutions that are compared: read from shapes/*.csv, or drawn by a seed
import csv
import dataclasses
import math
import pathlib
import random

FOLDER = pathlib.Path(__file__).parent / "shapes"

# Class, which is the name of its file, and the geometric mean of (fastest peer's time / nhwc's) that is required of it.
REQUIRED = {
    "3x3_stride1": 2.3,
    "strided_stems_patches": 1.08,
    "1x1": 1.15,
    "depthwise": 1.7,
    "grouped": 1.7,
    "1d": 1.35,
    "3d": 1.4,
    "transposed": 1.4,
    "dilated": 1.3,
    "training": 1.6,
}
REQUIRED_OF_HALVES = 1.05  # of every class, against torch
REQUIRED_OF_ISA = 1.0  # where all are kept to an instruction set
TITLES = {
    "3x3_stride1": "3x3, stride 1",
    "strided_stems_patches": "strided, stems, patches",
    "1d": "1-D",
    "3d": "3-D",
    "training": "forward + both gradients",
}
COLUMNS = (
    "name", "rank", "batch", "in", "c", "o", "kernel", "stride", "padding", "dilation", "groups", "transposed",
    "output_padding",
)  # fmt: skip
PER_AXIS = ("kernel", "stride", "padding", "dilation", "output_padding")


class ShapeError(ValueError):
    """A row that is no convolution; the text says where and why."""


@dataclasses.dataclass(frozen=True)
class Shape:
    """One convolution. What has one value per axis is a tuple of `rank` numbers; `klass` is a key of REQUIRED, or
    "random"."""

    klass: str
    name: str
    batch: int
    in_: tuple
    c: int
    o: int
    kernel: tuple
    stride: tuple
    padding: tuple
    dilation: tuple
    groups: int
    transposed: bool
    output_padding: tuple

    @property
    def rank(self):
        return len(self.in_)

    @property
    def training(self):
        """Forward and both gradients are measured, not forward alone."""
        return self.klass == "training"

    @property
    def out(self):
        axes = zip(
            self.in_, self.kernel, self.stride, self.padding, self.dilation, self.output_padding, strict=True
        )  # fmt: skip
        if self.transposed:
            return tuple((n - 1) * s - 2 * p + d * (k - 1) + 1 + extra for n, k, s, p, d, extra in axes)
        return tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d, _ in axes)

    @property
    def x_shape(self):
        return (self.batch, *self.in_, self.c)

    @property
    def w_shape(self):
        return (self.o, *self.kernel, self.c // self.groups)

    @property
    def y_shape(self):
        return (self.batch, *self.out, self.o)

    @property
    def flops(self):
        """Two per product of the direct method; places of the kernel outside of the input count as inside."""
        places = math.prod(self.in_ if self.transposed else self.out)
        forward = 2 * self.batch * places * self.o * (self.c // self.groups) * math.prod(self.kernel)
        return 3 * forward if self.training else forward

    @property
    def bytes(self):
        """Every array once, in float32: what must pass through the memory at least."""
        arrays = math.prod(self.x_shape) + math.prod(self.w_shape) + math.prod(self.y_shape)
        return 4 * arrays * (2 if self.training else 1)

    @property
    def intensity(self):
        return self.flops / self.bytes

    def problem(self):
        """Why this is no convolution, or None."""
        numbers = (self.batch, self.c, self.o, self.groups, *self.in_, *self.kernel, *self.stride, *self.dilation)
        if min(numbers) < 1:
            return "batch, in, c, o, kernel, stride, dilation and groups are at least 1"
        if min(*self.padding, *self.output_padding, 0) < 0:
            return "padding and output_padding are not negative"
        if self.c % self.groups or self.o % self.groups:
            return f"{self.groups} groups do not divide c={self.c} and o={self.o}"
        if any(e and not self.transposed for e in self.output_padding):
            return "output_padding belongs to transposed convolutions"
        if any(e >= max(s, d) for e, s, d in zip(self.output_padding, self.stride, self.dilation, strict=True)):
            return "output_padding is less than stride or dilation"
        if min(self.out) < 1:
            return f"the output would be {self.out}"
        return None

    def to_json(self):
        return dataclasses.asdict(self)

    @staticmethod
    def from_json(fields):
        return Shape(**{k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()})


def per_axis(text, rank):
    """(3, 3) of "3" or of "3x3"."""
    values = tuple(int(t) for t in text.split("x"))
    if len(values) == 1:
        values *= rank
    if len(values) != rank:
        raise ValueError(f'"{text}" has {len(values)} numbers for {rank} axes')
    return values


def parse_row(klass, row):
    """The Shape of a row as csv.DictReader gives it; ValueError says what is wrong with it."""
    missing = [c for c in COLUMNS if not row.get(c)]
    if missing or set(row) != set(COLUMNS):
        raise ValueError(f"expected the columns {','.join(COLUMNS)}; {', '.join(missing) or 'others'} wrong or missing")
    rank = int(row["rank"])
    if rank not in (1, 2, 3):
        raise ValueError(f"rank is 1, 2 or 3, got {rank}")
    if row["transposed"] not in ("0", "1"):
        raise ValueError(f'transposed is 0 or 1, got "{row["transposed"]}"')
    sizes = tuple(int(t) for t in row["in"].split("x"))
    if len(sizes) != rank:
        raise ValueError(f'in "{row["in"]}" has {len(sizes)} numbers for {rank} axes')
    numbers = {k: int(row[k]) for k in ("batch", "c", "o", "groups")}
    axes = {k: per_axis(row[k], rank) for k in PER_AXIS}
    shape = Shape(klass=klass, name=row["name"], in_=sizes, transposed=row["transposed"] == "1", **numbers, **axes)
    if shape.problem():
        raise ValueError(shape.problem())
    return shape


def read_csv(path, klass):
    shapes = []
    with open(path, newline="") as f:
        reader = csv.DictReader(f)
        for row in reader:
            try:
                shape = parse_row(klass, row)
                if any(shape.name == other.name for other in shapes):
                    raise ValueError(f'"{shape.name}" is there twice')
            except ValueError as error:
                raise ShapeError(f"{path}:{reader.line_num}: {error}") from None
            shapes.append(shape)
    return shapes


def read_classes(classes=tuple(REQUIRED), only="", folder=FOLDER):
    """The shapes of these classes whose name, or class, holds the text `only`."""
    return [
        shape
        for klass in classes
        for shape in read_csv(pathlib.Path(folder) / f"{klass}.csv", klass)
        if only in shape.name or only in klass
    ]


def describe(shape):
    """A name made of what the shape is: "2x56x56x64->128 k3x3 s2 p1 d1 g1"."""

    def text(values):
        return str(values[0]) if len(set(values)) == 1 else "x".join(map(str, values))

    words = [f"{'x'.join(map(str, shape.x_shape))}->{shape.o}", "k" + "x".join(map(str, shape.kernel))]
    for letter, values, usual in (("s", shape.stride, 1), ("p", shape.padding, 0), ("d", shape.dilation, 1)):
        if set(values) != {usual}:
            words.append(letter + text(values))
    if shape.groups > 1:
        words.append(f"g{shape.groups}")
    if shape.transposed:
        words.append("transposed")
        if any(shape.output_padding):
            words.append("op" + text(shape.output_padding))
    return " ".join(words)


def draw(rng):
    """One random convolution: any rank, kernel, stride, dilation, grouping and direction, of a size that takes
    microseconds to tens of milliseconds on one core."""
    rank = rng.choice((1, 2, 2, 2, 3))
    transposed = rng.random() < 0.15
    side = {1: (16, 4096), 2: (5, 128), 3: (4, 32)}[rank]
    first = round(math.exp(rng.uniform(*map(math.log, side))))
    in_ = tuple(max(side[0], first + rng.randint(-3, 3)) if rng.random() < 0.3 else first for _ in range(rank))
    kernel = (rng.choice((1, 2, 3, 3, 3, 4, 5, 7, 9, 31) if rank == 1 else (1, 2, 3, 3, 3, 4, 5, 7)),) * rank
    if rng.random() < 0.15:
        kernel = tuple(rng.choice((1, 2, 3, 5)) for _ in range(rank))
    stride = (rng.choice((1, 1, 1, 2, 2, 3, 4)),) * rank
    dilation = (1 if max(stride) > 1 else rng.choice((1, 1, 1, 2, 3, 4)),) * rank
    grouping = rng.choice(("none", "none", "none", "depthwise", "grouped"))
    channels = rng.choice((1, 3, 8, 16, 20, 32, 36, 48, 64, 96, 100, 128, 192, 256, 384, 512))
    o, groups = rng.choice((1, 4, 8, 16, 21, 32, 48, 64, 96, 100, 128, 256, 320, 512)), 1
    if grouping == "depthwise":
        o = groups = channels
    elif grouping == "grouped":
        groups = rng.choice((2, 4, 8, 32))
        channels, o = groups * rng.choice((1, 2, 4, 8, 16, 24)), groups * rng.choice((1, 2, 4, 8, 16, 24))
    padding = tuple(rng.choice((0, d * (k - 1) // 2)) for d, k in zip(dilation, kernel, strict=True))
    if transposed:
        padding = tuple(min(p, d * (k - 1)) for p, d, k in zip(padding, dilation, kernel, strict=True))
    extra = tuple(rng.randrange(s) if transposed and rng.random() < 0.5 else 0 for s in stride)
    batch = rng.choice((1, 1, 1, 2, 4, 8))
    return Shape(
        "random", "", batch, in_, channels, o, kernel, stride, padding, dilation, groups, transposed, extra
    )  # fmt: skip


def random_shapes(number, seed, least_flops=3e5, most_flops=4e9, most_bytes=64e6):
    """`number` different shapes, always the same for a seed."""
    rng = random.Random(seed)
    shapes = {}
    while len(shapes) < number:
        shape = draw(rng)
        if shape.problem() or not least_flops <= shape.flops <= most_flops or shape.bytes > most_bytes:
            continue
        named = dataclasses.replace(shape, name=describe(shape))
        shapes.setdefault(named.name, named)
    return list(shapes.values())
