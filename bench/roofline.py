# bench/roofline.py -- a picture: what was reached, beside what the processor and its memory allow
from report import threads_text, title

COLOURS = ("#2f6fde", "#d92d20", "#12805c", "#b54708", "#6938ef", "#0e7090", "#c11574", "#475467", "#4e5ba6", "#a15c07")


def draw(path, rows, heading):
    """One panel per number of threads: GFLOP/s of every shape over its arithmetic intensity (float32, every array
    passes through memory once), under the measured peak and bandwidth."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import numpy as np

    rows = [r for r in rows if r.ours]
    counts = sorted({r.threads for r in rows})
    classes = list(dict.fromkeys(r.shape.klass for r in rows))
    figure, panels = plt.subplots(
        1, len(counts), figsize=(6.5 * len(counts) + 1.5, 5.4), squeeze=False, facecolor="white"
    )
    for panel, threads in zip(panels[0], counts, strict=True):
        mine = [r for r in rows if r.threads == threads]
        x = [r.shape.intensity for r in mine]
        ends = np.array([min(0.5, min(x) / 2), max(1000, max(x) * 2)])
        peak = mine[0].peak
        top = max([r.gflops() for r in mine] + ([peak.gflops] if peak else []))
        if peak:
            line = np.geomspace(*ends, 200)
            panel.plot(line, np.minimum(peak.gflops, line * peak.bandwidth), color="#1f2933", lw=1.5)
            panel.annotate(
                f"{peak.gflops:.0f} GFLOP/s", (ends[1], peak.gflops), (-4, 5), textcoords="offset points", ha="right"
            )
            low = line[2]
            panel.annotate(
                f"{peak.bandwidth:.0f} GB/s", (low, low * peak.bandwidth), (2, -14), textcoords="offset points"
            )
        for klass, colour in zip(classes, COLOURS * 2, strict=False):
            points = [(r.shape.intensity, r.gflops()) for r in mine if r.shape.klass == klass]
            panel.scatter(*zip(*points, strict=True), s=26, color=colour, alpha=0.85, label=title(klass), lw=0)
        panel.set(xscale="log", yscale="log", xlim=ends, xlabel="FLOP per byte", ylabel="GFLOP/s")
        panel.set_ylim(min([1.0] + [r.gflops() / 2 for r in mine]), 2 * top)
        panel.set_title(threads_text(threads), loc="left")
        panel.grid(True, which="major", color="#e4e7ec", lw=0.6)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0][-1].legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    figure.suptitle("nhwc: " + heading, fontsize=9, color="#475467")
    figure.tight_layout()
    figure.savefig(path, dpi=140)
    plt.close(figure)
