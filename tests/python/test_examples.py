# tests/python/test_examples.py -- the programs that a user would start from run, learn, and draw what they learned
import importlib
import importlib.util
import json
import pathlib
import re
import subprocess
import sys
import wave

import numpy as np
import pytest

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"


NAMES = [f"{name}.py" for name in ["train_digits", "denoise", "resnet20_digits", "conv_vae", "unet", "voice_activity"]]


def needs(*packages):
    """Skips where one is not installed; imports none, as some lack what they depend on."""
    for package in packages:
        try:
            found = importlib.util.find_spec(package)
        except ModuleNotFoundError:
            found = None
        if not found:
            pytest.skip(f"{package} is not installed")


def example(monkeypatch, name):
    """An example as a module, which finds the others beside it."""
    monkeypatch.syspath_prepend(EXAMPLES)
    return importlib.import_module(name)


def run(name, *args, status=0):
    command = [sys.executable, str(EXAMPLES / name), *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == status, done.stderr[-2000:]
    return done


def loss_fell(done):
    """What is left of the loss, of 1."""
    first, last = map(float, re.search(r"loss from (\S+) to (\S+); picture", done.stdout).groups())
    return last / first


def run_and_look(folder, *command):
    """Runs an example that also writes a trace, and checks its picture and the trace."""
    done = run(*command, "--out", folder / "picture.png", "--profile", folder / "trace.json")
    picture = pytest.importorskip("matplotlib.image").imread(folder / "picture.png")
    assert picture.shape[0] > 300
    assert picture.shape[1] > 600
    assert picture[..., :3].std() > 0.05  # not blank
    spans = [event for event in json.loads((folder / "trace.json").read_text())["traceEvents"] if event["ph"] == "X"]
    assert len(spans) > 10
    assert all(span["dur"] >= 0 for span in spans)
    assert any("conv" in span["name"].lower() for span in spans)
    return done


def test_train_digits(tmp_path):
    needs("sklearn", "matplotlib", "tqdm")
    done = run_and_look(tmp_path, "train_digits.py", "--epochs", 12)
    last = done.stdout.strip().splitlines()[-1]
    found = re.fullmatch(r"test accuracy: (\d+\.\d) %", last)
    assert found, last
    assert float(found[1]) >= 97
    assert "training" in done.stderr  # the progress bar


def test_denoise(tmp_path):
    needs("skimage", "matplotlib", "tqdm")
    done = run_and_look(tmp_path, "denoise.py", "--steps", 120, "--width", 16)
    gain = re.search(r"gain (-?\d+\.\d+) dB", done.stdout)
    assert gain, done.stdout
    assert float(gain[1]) >= 3


def test_resnet20_digits(tmp_path):
    needs("sklearn", "matplotlib", "tqdm")
    done = run_and_look(tmp_path, "resnet20_digits.py", "--epochs", 2, "--batch", 32)
    assert loss_fell(done) < 0.35
    found = re.search(r"test accuracy: (\d+\.\d) %", done.stdout)
    assert float(found[1]) >= 80


def test_conv_vae(tmp_path):
    needs("sklearn", "matplotlib", "tqdm")
    done = run_and_look(tmp_path, "conv_vae.py", "--epochs", 4, "--batch", 32)
    assert loss_fell(done) < 0.5
    found = re.search(r"held out: (\d+\.\d+) nats an image, (\d+\.\d+) of the ink and (\d+\.\d+)", done.stdout)
    total, ink, code = map(float, found.groups())
    assert total < 60
    assert ink > 5  # no network knows the noise of images that it never saw
    assert code > 2  # the digits are told apart


@pytest.mark.large
def test_samples_of_the_vae(monkeypatch):
    needs("sklearn", "matplotlib", "tqdm")
    vae, mx = example(monkeypatch, "conv_vae"), pytest.importorskip("nhwc")
    model = vae.VAE(6)
    (samples, again), (images, _) = (vae.sample(model, 6, 5) for _ in range(2)), vae.load_digits()[1]
    assert samples.shape == (5, 32, 32, 1)
    assert np.all((samples > 0) & (samples < 1))
    assert np.any(samples != again)
    images = vae.enlarge(images[:3])
    ends = np.array(model.decode(model.encode(mx.array(images))[0]))
    paths = vae.walk(model, images, 4)
    np.testing.assert_allclose(paths[:, 0], ends[:-1], atol=1e-5)
    np.testing.assert_allclose(paths[:, -1], ends[1:], atol=1e-5)


def test_unet(tmp_path):
    needs("skimage", "matplotlib", "tqdm", "stardist")
    done = run_and_look(tmp_path, "unet.py", "--steps", 50, "--batch", 4, "--width", 12)
    assert loss_fell(done) < 0.5
    found = re.search(r"held out: Dice (\d\.\d+); (\d+) of (\d+) nuclei found", done.stdout)
    assert float(found[1]) >= 0.85  # 0.82 after three steps
    by_threshold = re.search(r"Otsu's threshold: Dice (\d\.\d+); (\d+) nuclei", done.stdout)
    assert int(found[3]) >= int(found[2]) > 1.2 * int(by_threshold[2])


def test_nuclei_are_told_apart_and_counted(monkeypatch):
    """Discs that touch, with the answer that a perfect network would give; and the score of answers that are not."""
    needs("skimage", "tqdm")
    unet = example(monkeypatch, "unet")
    rows, columns = np.mgrid[:64, :96]
    truth = np.zeros((64, 96), np.int32)
    for number, (row, column) in enumerate([(20, 20), (20, 41), (44, 30), (40, 80)], 1):
        truth[(rows - row) ** 2 + (columns - column) ** 2 < 11**2] = number
    target = unet.targets(truth)
    assert target.shape == (64, 96, 2)
    assert target[..., 1].max() == 1
    np.testing.assert_array_equal(target[..., 0] > 0, truth > 0)
    np.testing.assert_array_equal(target[..., 1] > 0, truth > 0)
    found = unet.separate(target)
    assert found.max() == 4
    assert unet.score(found, truth) == (1, 4)
    assert unet.score(found > 0, truth) == (1, 0)  # all one
    dice, hits = unet.score(np.where(found == found[20, 20], 0, found), truth)
    assert 0.8 < dice < 1
    assert hits == 3
    assert unet.score(np.zeros_like(truth), truth) == (0, 0)


def voices():
    """The network and the recording are in packages that are not imported, nor what those depend on."""
    needs("onnx", "matplotlib", "tqdm", "silero_vad", "pyannote.audio")


def test_voice_activity(tmp_path):
    voices()
    done = run_and_look(tmp_path, "voice_activity.py")
    found = re.search(r"(\d+) stretches of speech, (\d+\.\d) of 30\.0 s\nas annotated .*: (\d+\.\d) %", done.stdout)
    assert int(found[1]) == 4
    assert 20 < float(found[2]) < 25
    assert float(found[3]) >= 95


def test_voice_activity_agrees_with_the_original(tmp_path):
    voices()
    needs("torch", "onnxruntime", "packaging")
    done = run_and_look(tmp_path, "voice_activity.py", "--compare", "--rounds", 1)
    apart = re.findall(r"^silero-vad.* (\S+)$", done.stdout, re.MULTILINE)
    assert len(apart) == 3, done.stdout
    assert all(0 < float(difference) < 1e-4 for difference in apart)


@pytest.mark.large
def test_voice_activity_in_blocks(monkeypatch):
    """The state goes from one block to the next: the probabilities do not depend on the size of blocks."""
    voices()
    example_ = example(monkeypatch, "voice_activity")
    model = example_.load_model()
    sound = example_.read_wav(example_.from_package("pyannote.audio", "sample/sample.wav"))[6 * 16000 : 9 * 16000 - 100]
    whole = example_.probabilities(model, sound, 1000, quietly=True)
    assert whole.shape == (94,)
    assert whole.min() < 0.1
    assert whole.max() > 0.9
    np.testing.assert_allclose(example_.probabilities(model, sound, 7, quietly=True), whole, atol=1e-5)


def test_stretches_of_speech(monkeypatch):
    needs("tqdm")
    segments = example(monkeypatch, "voice_activity").segments
    p = np.zeros(100)
    p[10:30] = 0.9
    p[20] = 0.1  # shorter than a pause
    p[50:53] = 0.9  # shorter than any word
    p[80:] = 0.6
    np.testing.assert_allclose(segments(p, 0.5), [(10 * 0.032, 30 * 0.032), (80 * 0.032, 100 * 0.032)])
    assert segments(np.zeros(9), 0.5) == []


@pytest.mark.parametrize("rate", [44100, 8000])
def test_recordings_that_do_not_fit_are_refused(tmp_path, rate):
    voices()
    with wave.open(str(tmp_path / "x.wav"), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(bytes(2 * rate))
    for path, expected in [(tmp_path / "x.wav", f"at {rate} Hz; expected 16 bits at 16000 Hz"), ("no.wav", "no.wav: ")]:
        done = run("voice_activity.py", "--wav", path, "--out", tmp_path / "x.png", status=1)
        assert expected in done.stderr
        assert "Traceback" not in done.stderr


def test_a_missing_package_is_named(monkeypatch):
    needs("tqdm")
    shared = example(monkeypatch, "shared")
    for package, named in [("no_such_package", "no-such-package"), ("no.such.package", "no.such.package")]:
        with pytest.raises(SystemExit, match=f"^{package} is not installed: pip install --no-deps {named}$"):
            shared.from_package(package, "file")


@pytest.mark.parametrize("name", NAMES)
def test_bad_arguments_are_refused(name):
    needs("tqdm")
    for bad in (["--batch", "0"], ["--no-such"], ["--out", "no/such/folder.png"], ["--profile", "no/such.json"]):
        assert "usage:" in run(name, *bad, status=2).stderr


@pytest.mark.parametrize("name", NAMES)
def test_help_says_what_it_does_and_the_defaults(name):
    needs("tqdm")
    done = run(name, "--help")
    assert "--out" in done.stdout
    assert "--profile" in done.stdout
    assert ".png)" in "".join(done.stdout.split())  # the default of --out
