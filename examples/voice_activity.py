# examples/voice_activity.py -- where somebody speaks in a recording: Silero's published network, run by nhwc
"""Finds the speech in a recording with the weights of silero-vad, and draws where it is.

pip install "nhwc[examples]" && pip install --no-deps silero-vad pyannote.audio
python examples/voice_activity.py                    # on half a minute of a telephone call, which pyannote.audio holds
python examples/voice_activity.py --wav speech.wav   # 16 bits, 16 kHz
pip install torch onnxruntime packaging && python examples/voice_activity.py --compare

Only weights and sound are read from the two packages: neither is imported, so neither needs what it depends on. With
--compare silero-vad itself runs too, in each of its three ways, beside nhwc, on one thread as it does by default.
"""

import time
import wave
from pathlib import Path

import numpy as np
from shared import BLUE, GRID, INK, TEAL, TITLE, from_package, options, positive, profiled, pyplot, quiet
from tqdm import tqdm

import nhwc as mx
import nhwc.nn as nn

RATE = 16000  # samples a second
FRAME, CONTEXT = 512, 64  # samples that give one probability, and those before them that it sees too


class VoiceActivity(nn.Module):
    """Frames (T, 576) in order, to the probabilities (T,) that somebody speaks in them.

    A spectrogram of four windows a frame, four convolutions that leave one vector of it, a recurrent layer from frame
    to frame, and one linear layer.
    """

    def __init__(self):
        super().__init__()
        self.stft = nn.Conv1d(1, 258, 256, stride=128, bias=False)  # cosines, then sines
        self.encoder = [
            nn.Conv1d(inputs, outputs, 3, stride=stride, padding=1)
            for inputs, outputs, stride in [(129, 128, 1), (128, 64, 2), (64, 64, 2), (64, 128, 1)]
        ]
        self.lstm = nn.LSTM(128, 128)
        self.head = nn.Linear(128, 1)

    def __call__(self, frames, hidden, cell):
        """Also the state after the last frame: the next call's, if it continues the recording."""
        mirrored = frames[:, -2:-66:-1]
        x = self.stft(mx.concatenate([frames, mirrored], axis=1)[..., None])
        x = mx.sqrt(mx.square(x[..., :129]) + mx.square(x[..., 129:]))  # (T, 4, 129)
        for conv in self.encoder:
            x = nn.relu(conv(x))
        hidden, cell = self.lstm(x.squeeze(1), hidden, cell)
        return mx.sigmoid(self.head(nn.relu(hidden))).squeeze(-1), hidden[-1], cell[-1]


def load_model():
    """The network with its published weights, out of an ONNX file: convolutions there are (C_out, C_in, k)."""
    import onnx

    graph = onnx.load(from_package("silero_vad", "data/silero_vad_16k_op15.onnx")).graph
    published = {t.name.removeprefix("model."): mx.array(onnx.numpy_helper.to_array(t)) for t in graph.initializer}
    weights = {
        "stft.weight": published["stft.forward_basis_buffer"].transpose(0, 2, 1),
        "lstm.Wx": published["decoder.rnn.weight_ih"],
        "lstm.Wh": published["decoder.rnn.weight_hh"],
        "lstm.bias": published["decoder.rnn.bias_ih"] + published["decoder.rnn.bias_hh"],
        "head.weight": published["decoder.decoder.2.weight"].squeeze(-1),
        "head.bias": published["decoder.decoder.2.bias"],
    }
    for i in range(4):
        weights[f"encoder.{i}.weight"] = published[f"encoder.{i}.reparam_conv.weight"].transpose(0, 2, 1)
        weights[f"encoder.{i}.bias"] = published[f"encoder.{i}.reparam_conv.bias"]
    model = VoiceActivity()
    model.load_weights([(name, mx.contiguous(array)) for name, array in weights.items()])
    return model


def read_wav(path):
    """Samples (n,) in -1 .. 1; several channels are averaged."""
    try:
        with wave.open(str(path)) as file:
            channels, width, rate, count = file.getparams()[:4]
            data = file.readframes(count)
    except (OSError, wave.Error, EOFError) as error:
        raise SystemExit(f"{path}: {error}") from None
    if (width, rate) != (2, RATE) or not count:
        raise SystemExit(
            f"{path} has {count} samples of {8 * width} bits at {rate} Hz; expected 16 bits at {RATE} Hz, as from "
            f"ffmpeg -i IN -ac 1 -ar {RATE} -sample_fmt s16 OUT.wav"
        )
    return np.frombuffer(data, "<i2").reshape(-1, channels).mean(axis=1, dtype=np.float32) / 32768


def framed(sound):
    """Samples (n,) to frames (T, 576): each the last 64 samples of the one before it, and 512 new ones."""
    count = -(-len(sound) // FRAME)
    padded = np.pad(sound, (CONTEXT, count * FRAME - len(sound)))
    return np.lib.stride_tricks.sliding_window_view(padded, CONTEXT + FRAME)[::FRAME]


def probabilities(model, sound, block, profile=None, quietly=False):
    """One probability (T,) for each 32 ms of samples (n,); `model` takes `block` frames at a time."""
    frames = mx.array(framed(sound))
    hidden, cell, found = mx.zeros(128), mx.zeros(128), []
    starts = range(0, len(frames), block)
    for i in tqdm(starts, desc="listening", unit="block", disable=quietly):
        with profiled(profile, i // block, len(starts)):
            p, hidden, cell = model(frames[i : i + block], hidden, cell)
            mx.eval(p, hidden, cell)
        found.append(p)
    return np.array(mx.concatenate(found))


def segments(p, threshold, shortest=0.25, pause=0.1):
    """Starts and ends in seconds; speech ends where the probability stays 0.15 below the threshold for a pause."""
    found, start, silent = [], None, 0
    for i, value in enumerate([*p, *[0] * round(pause * RATE / FRAME + 1)]):
        if value >= threshold:
            start, silent = i if start is None else start, 0
        elif start is not None and (silent or value < threshold - 0.15):
            silent += 1
            if silent * FRAME / RATE >= pause:
                found.append((start * FRAME / RATE, (i + 1 - silent) * FRAME / RATE))
                start, silent = None, 0
    return [(a, b) for a, b in found if b - a >= shortest]


def read_rttm(path):
    """Who speaks when: [(speaker, start, end)] in seconds; none where there is no such file."""
    lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    return [(words[7], float(words[3]), float(words[3]) + float(words[4])) for words in lines]


def agreement(speech, turns, count):
    """The share of `count` frames in which the network and the annotation say the same."""
    middles = (np.arange(count) + 0.5) * FRAME / RATE
    found, annotated = (
        np.any([(start <= middles) & (middles < end) for start, end in stretches], axis=0)
        for stretches in ([(0, 0), *speech], [turn[1:] for turn in turns])
    )
    return np.mean(found == annotated)


def draw(path, sound, p, speech, turns, threshold):
    """The wave with what was found, the probability, and who spoke according to the file beside the recording."""
    plt = pyplot()
    rows = 3 if turns else 2
    figure, axes = plt.subplots(
        rows, 1, figsize=(13, 6.4), height_ratios=[3, 3, 1.2][:rows], sharex=True, layout="constrained"
    )
    seconds = len(sound) / RATE
    width = max(1, len(sound) // 4000)  # samples for each vertical line
    peaks = sound[: len(sound) // width * width].reshape(-1, width)
    time = (np.arange(len(peaks)) + 0.5) * width / RATE
    axes[0].fill_between(time, peaks.min(axis=1), peaks.max(axis=1), color=INK, linewidth=0)
    axes[0].set_ylabel("wave", color=INK)
    axes[1].plot((np.arange(len(p)) + 0.5) * FRAME / RATE, p, color=BLUE, linewidth=1.6)
    axes[1].axhline(threshold, color=INK, linewidth=0.8, linestyle=(0, (4, 4)))
    axes[1].set_ylabel("probability of speech", color=INK)
    axes[1].set_ylim(-0.03, 1.03)
    for axis in axes[:2]:
        quiet(axis)
        for start, end in speech:
            axis.axvspan(start, end, color=BLUE, alpha=0.12, linewidth=0)
    speakers = sorted({speaker for speaker, _, _ in turns})
    for speaker, start, end in turns:
        axes[2].barh(speakers.index(speaker), end - start, left=start, height=0.6, color=TEAL)
    if turns:
        quiet(axes[2])
        axes[2].grid(visible=False)
        axes[2].set_yticks(range(len(speakers)), speakers)
        axes[2].set_ylim(-0.6, len(speakers) - 0.4)
        axes[2].set_title("Who spoke, annotated by hand", loc="left", **TITLE)
        axes[2].set_facecolor(GRID + "60")
    axes[0].set_title(
        f"Speech found in {seconds:.0f} s of sound: {sum(b - a for a, b in speech):.1f} s", loc="left", **TITLE
    )
    axes[-1].set_xlabel("seconds", color=INK)
    axes[-1].set_xlim(0, seconds)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def originals():
    """silero-vad itself, each way that it has: functions from samples (n,) to probabilities (T,)."""
    try:
        import silero_vad  # it sets torch and ONNX Runtime to one thread
        import torch
    except ModuleNotFoundError as error:
        raise SystemExit(f"--compare needs {error.name}: pip install torch onnxruntime packaging") from None
    torchscript, onnx = silero_vad.load_silero_vad(), silero_vad.load_silero_vad(onnx=True)
    blocks = silero_vad.load_silero_vad(sequence=True)

    def frame_by_frame(model, sound):
        with torch.no_grad():
            return model.audio_forward(torch.from_numpy(sound), RATE).numpy().ravel()

    return {
        "silero-vad, TorchScript": lambda sound: frame_by_frame(torchscript, sound),
        "silero-vad, ONNX": lambda sound: frame_by_frame(onnx, sound),
        "silero-vad, ONNX by blocks": blocks.audio_forward,
    }


def compare(model, sound, p, block, rounds):
    """Prints times and differences; the contenders take turns. Other programs delay them, but add no CPU time."""
    contenders = {"nhwc": lambda sound: probabilities(model, sound, block, quietly=True), **originals()}
    threads = mx.num_threads()
    mx.set_num_threads(1)
    apart = {name: np.abs(run(sound) - p).max() for name, run in contenders.items()}  # warms them, too
    times = {name: [] for name in contenders}
    for _ in tqdm(range(rounds), desc="comparing", unit="round"):
        for name, run in contenders.items():
            start = time.perf_counter(), time.process_time()
            run(sound)
            times[name].append((time.perf_counter() - start[0], time.process_time() - start[1]))
    mx.set_num_threads(threads)
    medians = {name: 1000 * np.median(taken, axis=0) for name, taken in times.items()}
    print(f"{'milliseconds, one thread':28}{'passed':>9}{'CPU':>9}{'ratio':>9}  largest difference")
    for name, (passed, used) in medians.items():
        ratio = used / medians["nhwc"][1]
        print(f"{name:28}{passed:9.1f}{used:9.1f}{ratio:9.2f}  {apart[name]:.1e}")


def main():
    parser = options(__doc__, "voice.png", seed=False)
    parser.add_argument(
        "--wav", metavar="FILE", help="16 bits, 16 kHz; beside FILE.rttm, which is drawn if there is one"
    )
    parser.add_argument("--threshold", type=float, default=0.5, help="speech begins at this probability")
    parser.add_argument("--block", type=positive, default=256, help="frames computed at once, of 32 ms each")
    parser.add_argument("--compare", action="store_true", help="also run silero-vad itself, and print both times")
    parser.add_argument("--rounds", type=positive, default=15, help="times that each runs for --compare")
    args = parser.parse_args()
    if not 0 < args.threshold < 1:
        parser.error(f"--threshold must be between 0 and 1, got {args.threshold}")

    model = mx.compile(load_model())
    path = Path(args.wav) if args.wav else from_package("pyannote.audio", "sample/sample.wav")
    sound = read_wav(path)
    p = probabilities(model, sound, args.block, args.profile)
    speech = segments(p, args.threshold)
    turns = read_rttm(path.with_suffix(".rttm"))
    draw(args.out, sound, p, speech, turns, args.threshold)
    if args.compare:
        compare(model, sound, p, args.block, args.rounds)
    print(f"picture: {args.out}")
    print(f"{len(speech)} stretches of speech, {sum(b - a for a, b in speech):.1f} of {len(sound) / RATE:.1f} s")
    if turns:
        print(f"as annotated by hand: {100 * agreement(speech, turns, len(p)):.1f} % of the time")


if __name__ == "__main__":
    main()
