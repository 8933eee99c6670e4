# tests/python/mlx_programs.py -- runs a published MLX program on nhwc or on mlx, its source unchanged
"""``python mlx_programs.py LIBRARY PROGRAM FILE.npz`` writes what a program computes.

For ``nhwc`` the modules that the program imports, ``mlx.core``, ``mlx.nn``, ``mlx.optimizers`` and ``mlx.utils``, are
nhwc's: what changing its import lines would do. The programs come from packages of PyPI, see ``PROGRAMS``, and from a
copy of mlx-examples, where ``MLX_EXAMPLES`` names one. Weights are what a seed makes of them; data are random.
"""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
import types
from types import SimpleNamespace

import numpy as np

SEED = 3
# What the packages import for downloads, sound files, tokens and their command lines, which are not run here.
UNUSED = """audiosample cv2 huggingface_hub librosa miniaudio more_itertools numba pandas PIL pydantic regex requests
    safetensors scipy sentencepiece sounddevice soundfile tiktoken tokenizers torch torchaudio tqdm transformers typer
    yaml mlx_lm"""


class Unused(types.ModuleType):
    """Has whatever is asked of it; anything done with that is an error."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Unused(f"{self.__name__}.{name}")

    def __call__(self, *args, **kwargs):
        if self.__name__.startswith("numba.") and not args:  # @numba.jit(...) over functions that are not called
            return lambda function: function
        raise RuntimeError(f"{self.__name__} is not there, and was called")


class UnusedFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """After all others: for what is not installed."""

    def find_spec(self, name, path, target=None):
        parent = name.rpartition(".")[0]
        wanted = isinstance(sys.modules.get(parent), Unused) if parent else name in UNUSED.split()
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if wanted else None

    def create_module(self, spec):
        return Unused(spec.name)

    def exec_module(self, module):
        pass


def import_library(name):
    """mlx as a namespace; with ``nhwc`` it is what ``import mlx.core`` will find, too."""
    if name == "nhwc":
        mlx = types.ModuleType("mlx")
        mlx.__path__ = []
        sys.modules["mlx"] = mlx
        for theirs, ours in (("core", "nhwc"), ("nn", "nhwc.nn"), ("optimizers", "nhwc.optimizers")):
            setattr(mlx, theirs, importlib.import_module(ours))
        mlx.utils = importlib.import_module("nhwc.utils")
        for ours, module in list(sys.modules.items()):
            parts = ours.split(".")
            if parts[0] != "nhwc" or any(part.startswith("_") for part in parts):
                continue
            own = len(parts) > 1 and parts[1] in ("nn", "optimizers", "utils")
            sys.modules[".".join(["mlx"] + ([] if own else ["core"]) + parts[1:])] = module
        # Layers that are spread over machines: mlx-audio imports them for its language models alone.
        sys.modules["mlx.nn.layers.distributed"] = Unused("mlx.nn.layers.distributed")
    core = importlib.import_module("mlx.core")
    core.set_default_device(core.cpu)
    return SimpleNamespace(mx=core, **{n: importlib.import_module(f"mlx.{n}") for n in ("nn", "optimizers", "utils")})


def filled(library, model):
    """The model with weights that keep a signal's size, and numbers in place of zeros: in codebooks and in LSTMs."""
    rng = np.random.default_rng(SEED)
    weights = []
    for name, a in library.utils.tree_flatten(model.parameters()):
        numbers, terms = np.array(a), a.size // max(len(a), 1)
        if not numbers.any() and not name.endswith("bias"):
            numbers = rng.standard_normal(a.shape) if a.ndim > 1 else np.ones(a.shape)
        if terms > 1 and numbers.std() > 0:
            numbers = numbers / (numbers.std() * terms**0.5)
        weights.append((name, library.mx.array(numbers.astype(np.float32))))
    model.load_weights(weights)
    for module in model.modules():  # Mimi's codebooks keep what they compute from their parameters
        getattr(module, "update_in_place", lambda: None)()
    return model


def values(library, tree, prefix):
    return {f"{prefix}.{name}": np.array(a) for name, a in library.utils.tree_flatten(tree)}


def gradients(library, model, loss, *data):
    """A loss, its gradients, and the batch statistics that computing them leaves behind."""
    value, found = library.nn.value_and_grad(model, loss)(model, *data)
    library.mx.eval(value, found, model.state)
    kept = library.utils.tree_flatten(model.parameters())
    statistics = {f"running {n}": np.array(a) for n, a in kept if "running" in n}
    return {"loss": np.array(value), **values(library, found, "gradient"), **statistics}


def images(n, size, channels=3, seed=SEED):
    return np.random.default_rng(seed).standard_normal((n, size, size, channels)).astype(np.float32)


def sound(length, channels=1, n=1):
    """Two tones and noise, ``(n, length, channels)``."""
    t = np.arange(length)[:, None] / 24000
    tones = np.sin(2 * np.pi * t * (220 + 110 * np.arange(channels))) + 0.5 * np.sin(2 * np.pi * t * 3300)
    noise = np.random.default_rng(SEED).standard_normal((n, length, channels))
    return (0.3 * tones + 0.1 * noise).astype(np.float32)


def resnet(library, directory):
    """mlx-image's ResNet in its own trainer, and weights through a file of its checkpoints' kind."""
    mx, nn, optim = library.mx, library.nn, library.optimizers
    from mlxim.model.resnet.resnet import BasicBlock, ResNet
    from mlxim.trainer.trainer import Trainer

    model = ResNet(BasicBlock, [1, 1, 1, 1], num_classes=10)
    mx.eval(model.parameters())
    x, y = mx.array(images(8, 32)), mx.array(np.arange(8) % 10)
    loss = lambda m, x, y: mx.mean(nn.losses.cross_entropy(m(x), y))  # noqa: E731
    found = {f"first {name}": a for name, a in gradients(library, model, loss, x, y).items()}
    trainer = Trainer(
        model, optim.SGD(learning_rate=1e-3, momentum=0.9), nn.losses.cross_entropy,
        [(x, y)] * 2, loss_fn_args={"label_smoothing": 0.1}, log_every=1, device=mx.cpu,
    )  # fmt: skip
    mean, accuracy, _ = trainer.train_epoch()
    model.save_weights(f"{directory}/weights.npz")
    again = ResNet(BasicBlock, [1, 1, 1, 1], num_classes=10)
    again.load_weights(f"{directory}/weights.npz")
    assert mx.array_equal(model.eval()(x), again.eval()(x)).item()
    return {**found, "mean loss": np.array(mean), "accuracy": np.array(accuracy["acc@5"]), "y": np.array(model(x))}


def image_models(library, directory):
    """mlx-image's other families: depthwise, squeeze and excite, grouped convolutions, windows of attention."""
    from mlxim.model._registry import MODEL_ENTRYPOINT
    from mlxim.model.efficientnet._blocks import MBConvConfig
    from mlxim.model.efficientnet.efficientnet import EfficientNet

    mx, nn = library.mx, library.nn
    x, found = mx.array(images(2, 64)), {}
    for name in ("mobilenet_v2", "mobilenet_v3_small", "regnet_y_400mf"):
        model = MODEL_ENTRYPOINT[name](num_classes=7).eval()
        found[name] = np.array(model(x))
    stages = [MBConvConfig(1, 3, 1, 32, 16, 1, 0.5, 1), MBConvConfig(6, 5, 2, 16, 24, 2, 0.5, 1)]
    model = EfficientNet(stages, 0.2, num_classes=7)
    found["efficientnet"] = np.array(model.eval()(x))
    model.train()
    loss = lambda m, x, y: mx.mean(nn.losses.cross_entropy(m(x), y))  # noqa: E731
    found.update(gradients(library, model, loss, x, mx.array([1, 5])))
    return found


def diffusion(library, directory):
    """Stable Diffusion's autoencoder and U-Net (mlx-examples', in diffuse-mlx), small: both ways and gradients."""
    from diffuse_mlx.stable_diffusion.config import AutoencoderConfig, DiffusionConfig, UNetConfig
    from diffuse_mlx.stable_diffusion.sampler import SimpleEulerSampler
    from diffuse_mlx.stable_diffusion.unet import UNetModel
    from diffuse_mlx.stable_diffusion.vae import Autoencoder

    mx = library.mx
    autoencoder = Autoencoder(AutoencoderConfig(block_out_channels=(16, 32), layers_per_block=1, norm_num_groups=8))
    mx.eval(autoencoder.parameters())
    x = mx.array(images(1, 16))

    def loss(m, x):
        y = m(x, key=mx.random.key(5))
        divergence = 1 + y["logvar"] - mx.square(y["mean"]) - mx.exp(y["logvar"])
        return mx.mean(mx.square(y["x_hat"] - x)) - 0.01 * mx.mean(divergence)

    found = {f"autoencoder {k}": v for k, v in gradients(library, autoencoder, loss, x).items()}
    latent, logvar = autoencoder.encode(x)
    found.update(latent=np.array(latent), logvar=np.array(logvar), image=np.array(autoencoder.decode(latent)))

    config = UNetConfig(
        block_out_channels=(32, 64), layers_per_block=(1, 1), transformer_layers_per_block=(1, 1), norm_num_groups=8,
        num_attention_heads=(2, 4), cross_attention_dim=(24, 24), mid_block_layers=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )  # fmt: skip
    unet = UNetModel(config)
    mx.eval(unet.parameters())
    text, noisy = mx.array(images(1, 6, 4).reshape(1, 6, 24)), mx.array(images(1, 8, 4))
    sampler = SimpleEulerSampler(DiffusionConfig())
    steps = list(sampler.timesteps(2))
    for t, before in steps:
        noise = unet(noisy, t * mx.ones((1,)), encoder_x=text)
        noisy = sampler.step(noise, noisy, t, before)
    found["denoised"] = np.array(noisy)
    loss = lambda m, x: mx.mean(mx.square(m(x, mx.array([7.0]), encoder_x=text)))  # noqa: E731
    return {**found, **{f"unet {k}": v for k, v in gradients(library, unet, loss, mx.array(images(1, 8, 4))).items()}}


def codec(library, model, x, encoder, **encode):
    """What the encoder makes of a sound, its codes, and what the decoder makes of codes that are given."""
    mx = library.mx
    mask = mx.ones(x.shape[:2], mx.bool_)
    codes, scales = model.encode(x, mask, **encode)
    given = mx.array(np.random.default_rng(SEED).integers(0, 1024, codes.shape))
    return {
        "embedding": np.array(encoder(x)),
        "codes": np.array(codes),
        "scales": np.array([0.0 if s is None else s.tolist()[0][0][0] for s in scales]),
        "decoded": np.array(model.decode(given, scales, mask)),
    }


def encodec_config(**more):
    return {
        "audio_channels": 1, "num_filters": 32, "kernel_size": 7, "num_residual_layers": 1, "dilation_growth_rate": 2,
        "codebook_size": 1024, "codebook_dim": 128, "hidden_size": 128, "num_lstm_layers": 2, "residual_kernel_size": 3,
        "use_causal_conv": True, "normalize": False, "pad_mode": "reflect", "norm_type": "weight_norm",
        "last_kernel_size": 7, "trim_right_ratio": 1.0, "compress": 2, "upsampling_ratios": [8, 5, 4, 2],
        "target_bandwidths": [1.5, 3.0, 6.0, 12.0, 24.0], "sampling_rate": 24000, "chunk_length_s": None,
        "overlap": None, **more,
    }  # fmt: skip


STEREO = {
    "audio_channels": 2, "use_causal_conv": False, "normalize": True, "norm_type": "time_group_norm",
    "target_bandwidths": [3.0, 6.0, 12.0, 24.0], "sampling_rate": 48000, "chunk_length_s": 1.0, "overlap": 0.01,
}  # fmt: skip


def encodec(library, directory):
    """EnCodec (mlx-examples', in mlx-audio) as published for 24 kHz, and for 48 kHz with shorter chunks, which overlap.

    Its LSTM has a Metal kernel, and operations for machines without Metal.
    """
    from mlx_audio.codec.models.encodec.encodec import Encodec, EncodecConfig, preprocess_audio

    model = filled(library, Encodec(EncodecConfig(**encodec_config())))
    x, _ = preprocess_audio(library.mx.array(sound(2400)[0]))
    found = {f"24 kHz {k}": v for k, v in codec(library, model, x, model.encoder, bandwidth=6.0).items()}
    stereo = encodec_config(**{**STEREO, "chunk_length_s": 0.04, "overlap": 0.25, "num_filters": 8})
    model = filled(library, Encodec(EncodecConfig(**stereo)))
    x, _ = preprocess_audio(
        library.mx.array(sound(3000, 2)[0]), 48000, chunk_length=model.chunk_length, chunk_stride=model.chunk_stride
    )
    more = codec(library, model, x, lambda x: model.encoder(x[:, : model.chunk_length]), bandwidth=3.0)
    return {**found, **{f"48 kHz {k}": v for k, v in more.items()}}


def codecs(library, directory):
    """mlx-audio's SNAC and DAC: weight normalisation, depthwise and transposed convolutions, Snake, local attention."""
    from mlx_audio.codec.models.descript import DAC
    from mlx_audio.codec.models.snac import SNAC

    mx, found = library.mx, {}
    x = mx.array(sound(1200)[..., 0][:, None])  # (N, 1, samples)
    model = filled(library, SNAC(
        24000, encoder_dim=8, encoder_rates=[2, 3, 4], decoder_dim=64, decoder_rates=[4, 3, 2], attn_window_size=None,
        codebook_size=64, vq_strides=[4, 2, 1], noise=True,
    ))  # fmt: skip
    mx.random.seed(SEED)
    codes = model.encode(x)
    found.update({f"snac codes {i}": np.array(c) for i, c in enumerate(codes)})
    given = [mx.array(np.random.default_rng(i).integers(0, 64, c.shape)) for i, c in enumerate(codes)]
    found["snac decoded"] = np.array(model.decode(given))
    model = filled(library, DAC(
        encoder_dim=8, encoder_rates=[2, 4, 5], decoder_dim=64, decoder_rates=[5, 4, 2], n_codebooks=3,
        codebook_size=64, sample_rate=24000,
    ))  # fmt: skip
    z, codes, latents, _, _ = model.encode(model.preprocess(x, 24000))
    found.update({"dac z": np.array(z), "dac codes": np.array(codes), "dac latents": np.array(latents)})
    found["dac decoded"] = np.array(model.decode(z))
    loss = lambda m, x: mx.mean(mx.square(m.decoder(x)))  # noqa: E731
    given = mx.array(np.random.default_rng(SEED).standard_normal(z.moveaxis(1, 2).shape).astype(np.float32))
    return {**found, **{f"dac {k}": v for k, v in gradients(library, model, loss, given).items()}}


def mimi(library, directory):
    """mlx-audio's Mimi, at once and in parts: causal convolutions with states, attention with rotary encoding."""
    from mlx_audio.codec.models.mimi.mimi import Mimi, mimi_202407

    mx = library.mx
    config = mimi_202407(4)
    config.seanet.nfilters, config.seanet.dimension, config.transformer.d_model = 8, 64, 64
    config.transformer.num_layers, config.transformer.dim_feedforward, config.quantizer_bins = 2, 128, 64
    config.quantizer_dim = 32
    model = filled(library, Mimi(config))
    x = mx.array(sound(1920 * 4)[..., 0][:, None])  # (N, 1, samples)
    codes = model.encode(x)
    given = mx.array(np.random.default_rng(SEED).integers(0, 64, codes.shape))
    found = {"codes": np.array(codes), "decoded": np.array(model.decode(given))}
    model.reset_state()
    parts = [model.decode_step(given[..., i : i + 1]) for i in range(given.shape[-1])]
    return {**found, "in parts": np.array(mx.concatenate(parts, axis=-1))}


def vocoder(library, directory):
    """BigVGAN: transposed convolutions, and activations between filters that sample up and down; its gradients."""
    from mlx_audio.codec.models.bigvgan import BigVGAN, BigVGANConfig

    mx = library.mx
    config = BigVGANConfig(
        num_mels=20, upsample_initial_channel=32, upsample_rates=[4, 2], upsample_kernel_sizes=[8, 4], resblock="1",
        resblock_kernel_sizes=[3, 7], resblock_dilation_sizes=[[1, 3, 5], [1, 3, 5]], activation="snakebeta",
        snake_logscale=True, use_bias_at_final=False, use_tanh_at_final=False,
    )  # fmt: skip
    model = BigVGAN(config)
    x = mx.array(images(1, 20)[..., 0])
    found = {"y": np.array(model(x))}
    return {**found, **gradients(library, model, lambda m, x: mx.mean(mx.square(m(x))), x)}


def whisper(library, directory):
    """Whisper's encoder, which begins with two convolutions, its decoder, and a pass through a weight file."""
    from mlx_audio.stt.models.whisper.whisper import Model, ModelDimensions

    mx = library.mx
    model = Model(ModelDimensions(20, 50, 32, 4, 2, 100, 16, 32, 4, 2), dtype=mx.float32)
    model.save_weights(f"{directory}/weights.safetensors")
    model.load_weights(f"{directory}/weights.safetensors")
    mel = mx.array(images(1, 100, 20)[0, 0][None])
    features = model.encoder(mel)
    tokens = mx.array([[1, 5, 7, 2]])
    logits, cache, _ = model.decoder(tokens, features)
    more, _, _ = model.decoder(mx.array([[9]]), features, kv_cache=cache)
    return {"features": np.array(features), "logits": np.array(logits), "next": np.array(more)}


class Batches(list):
    """Stands for the data sets that mlx-examples download."""

    def reset(self):
        pass

    def __next__(self):
        return self[0]


def batches(n, size, channels):
    rng = np.random.default_rng(SEED)
    patterns = rng.uniform(0, 1, (10, size, size, channels))
    for _ in range(3):
        labels = rng.integers(0, 10, n)
        x = 0.5 * patterns[labels] + 0.5 * rng.uniform(0, 1, (n, size, size, channels))
        yield {"image": x.astype(np.float32), "label": labels}


def example(name):
    folder = os.path.join(os.environ["MLX_EXAMPLES"], name)
    sys.path.insert(0, folder)
    return folder


def cifar(library, directory):
    """mlx-examples' cifar: a ResNet-20, trained by its main.py with a compiled step; then tested."""
    example("cifar")
    data = Batches(batches(8, 32, 3))
    sys.modules["dataset"] = types.ModuleType("dataset")
    sys.modules["dataset"].get_cifar10 = lambda *_: (data, data)
    import main
    import resnet

    mx = library.mx
    mx.random.seed(SEED)
    model = resnet.resnet20()
    x, y = mx.array(data[0]["image"]), mx.array(data[0]["label"])
    loss = lambda m, x, y: mx.mean(library.nn.losses.cross_entropy(m(x), y))  # noqa: E731
    found = gradients(library, model, loss, x, y)
    optimizer = library.optimizers.Adam(learning_rate=1e-5)
    found["losses"] = np.array([main.train_epoch(model, [batch], optimizer, 0)[0] for batch in data])
    main.main(SimpleNamespace(seed=0, arch="resnet20", lr=1e-3, batch_size=8, epochs=1))
    return {**found, "y": np.array(model.eval()(x))}


def cvae(library, directory):
    """mlx-examples' cvae: a convolutional autoencoder; its main.py trains, reconstructs, generates and saves."""
    example("cvae")
    data = Batches(batches(16, 64, 1))
    sys.modules["dataset"] = types.ModuleType("dataset")
    sys.modules["dataset"].mnist = lambda **_: (data, data)
    import main
    import vae

    mx = library.mx
    mx.random.seed(SEED)
    model = vae.CVAE(8, (64, 64, 1), 64)
    mx.eval(model.parameters())
    found = gradients(library, model, main.loss_fn, mx.array(data[0]["image"]))
    arguments = SimpleNamespace(batch_size=16, save_dir=directory, latent_dims=8, max_filters=64, lr=1e-6, epochs=1)
    mx.random.seed(SEED)
    main.main(arguments)
    model.load_weights(f"{directory}/weights.npz")
    found["generated"] = np.array(model.eval().decode(mx.random.normal([4, 8])))
    return found


def encodec_example(library, directory):
    """mlx-examples' encodec as published for 48 kHz; operations take the place of its LSTM's Metal kernel alone."""
    example("encodec")
    import encodec as program

    mx = library.mx

    def lstm(x, h_in, cell, time_step):
        i, f, g, o = (x[:, time_step] + h_in).split(4, axis=-1)
        cell = mx.sigmoid(f) * cell + mx.sigmoid(i) * mx.tanh(g)
        return mx.sigmoid(o) * mx.tanh(cell), cell

    program.lstm_custom = lstm
    model = filled(library, program.EncodecModel(SimpleNamespace(**encodec_config(**STEREO))))
    x = mx.array(sound(48000, 2))
    return codec(library, model, x, lambda x: model.encoder(x[:, :6400]), bandwidth=3.0)


PROGRAMS = {
    "resnet": (resnet, "mlxim"),
    "image models": (image_models, "mlxim"),
    "diffusion": (diffusion, "diffuse_mlx"),
    "encodec": (encodec, "mlx_audio"),
    "codecs": (codecs, "mlx_audio"),
    "mimi": (mimi, "mlx_audio"),
    "vocoder": (vocoder, "mlx_audio"),
    "whisper": (whisper, "mlx_audio"),
    "cifar": (cifar, None),
    "cvae": (cvae, None),
    "encodec example": (encodec_example, None),
}


def main(name, program, file):
    sys.meta_path.append(UnusedFinder())
    library = import_library(name)
    library.mx.random.seed(SEED)
    found = PROGRAMS[program][0](library, os.path.dirname(file))
    np.savez(file, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
