"""An exported model in formats that need none of our code: StableHLO (JAX alone) and TFLite (no JAX at all).

Both hold the same function as `PoseTransfer`: source_image uint8 (B, H, W, 3), source_parsing uint8 (B, H, W) with
labels 0 to 7, source_pose and target_pose float32 (B, 18, 2), (y, x) in pixels, missing ones (-1, -1), to a picture,
uint8 (B, H, W, 3).
"""

import io
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import traverse_util

from scrn_jax.errors import UserError
from scrn_jax.inference import model_folder
from scrn_jax.models import base
from scrn_jax.runtime import devices, files
from scrn_jax.settings import Settings

log = logging.getLogger(__name__)

FORMATS = ("stablehlo", "tflite")
PLATFORMS = ("cpu", "cuda", "tpu")
STABLEHLO_FILE, PARAMS_FILE, TFLITE_FILE = "model.stablehlo", "params.npz", "model.tflite"
_CARD_BYTES = 1 << 20
_USE, _AFTER_USE = "## Use", "## How good it is"

_STABLEHLO_CARD = """## Use

With JAX and NumPy alone, on a CPU, a CUDA GPU or a TPU, for any number of people at once:

```python
import jax
import numpy as np

with open("model.stablehlo", "rb") as file:
    paint = jax.export.deserialize(bytearray(file.read())).call
params = dict(np.load("params.npz"))
pictures = paint(params, source_image, source_parsing, source_pose, target_pose)
```

`source_image`: uint8 (B, {height}, {width}, 3). `source_parsing`: uint8 (B, {height}, {width}), labels 0 to 7.
`source_pose`, `target_pose`: float32 (B, 18, 2), joints in OpenPose's order, (y, x) in pixels, missing ones (-1, -1).
`pictures`: uint8 (B, {height}, {width}, 3).

"""
_TFLITE_CARD = """## Use

With LiteRT (`pip install ai-edge-litert`) or TensorFlow's interpreter, one person at a time, built-in operations only:

```python
from ai_edge_litert.interpreter import Interpreter

paint = Interpreter("model.tflite").get_signature_runner()
picture = paint(
    source_image=source_image, source_parsing=source_parsing, source_pose=source_pose, target_pose=target_pose
)["picture"]
```

`source_image`: uint8 (1, {height}, {width}, 3). `source_parsing`: uint8 (1, {height}, {width}), labels 0 to 7.
`source_pose`, `target_pose`: float32 (1, 18, 2), joints in OpenPose's order, (y, x) in pixels, missing ones (-1, -1).
`picture`: uint8 (1, {height}, {width}, 3).

"""


def convert(folder: Path, output: Path, form: str) -> None:
    """Write the exported model of `folder` in another format into the new folder `output`, whole or not at all.

    `stablehlo`: model.stablehlo, one program for CPU, CUDA and TPU and any batch, and params.npz, float32, which it
    takes. `tflite`: model.tflite, parameters included, for a batch of one. Beside them model.json and the card.

    Raises:
      UserError: no exported model there, an unknown format, `output` exists or cannot be written, or TensorFlow, which
        makes TFLite files, cannot be imported.
    """
    if form not in FORMATS:
        raise UserError(f"--format {form}: choose one of {', '.join(FORMATS)}")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f"--output {output} exists already; give a new folder, or remove it first")
    settings = model_folder.read_settings(folder)
    mesh = devices.make_mesh(jax.local_devices()[:1])
    params = jax.device_get(model_folder.read_params(folder, base.make(settings), devices.replicated(mesh)))
    flat = traverse_util.flatten_dict(params, sep="/")
    paint = painter(settings)
    if form == "stablehlo":
        parts, card = {STABLEHLO_FILE: stablehlo(paint, flat, settings.size), PARAMS_FILE: _npz(flat)}, _STABLEHLO_CARD
    else:
        parts, card = {TFLITE_FILE: tflite(paint, flat, settings.size)}, _TFLITE_CARD
    model = {**model_folder.read_model_file(folder), "format": form}
    model.pop(model_folder.PARAMS_SHA256, None)  # of files that are not here
    parts[model_folder.MODEL_FILE] = (json.dumps(model, indent=2) + "\n").encode()
    use = card.format(height=settings.size[0], width=settings.size[1])
    parts[model_folder.CARD_FILE] = _with_use(_card(folder), use).encode()
    _write_whole(output, parts)
    log.info("%s, %.1f MB: %s", form, sum(map(len, parts.values())) / 1e6, output)


def painter(settings: Settings, as_bytes: bool = True) -> Callable:
    """The model as a pure function of flat parameters {"module/kernel": array} and the four inputs of a batch.

    With `as_bytes` False the picture is float32 in [-1, 1], as the network paints it. Convolutions are XLA's own:
    our ways around them are for CPUs.
    """
    model = base.make(settings, convolutions="plain")

    def paint(flat: Mapping[str, Any], source_image, source_parsing, source_pose, target_pose):
        # TFLite has no one-hot codes of bytes.
        batch = {
            "source_image": source_image, "source_parsing": source_parsing.astype(np.int32),
            "source_pose": source_pose, "target_pose": target_pose,
        }  # fmt: skip
        picture = model.generate(traverse_util.unflatten_dict(dict(flat), sep="/"), batch)["image"]
        return base.to_uint8(picture) if as_bytes else picture

    return paint


def inputs(size: tuple[int, int], batch: Any) -> dict[str, jax.ShapeDtypeStruct]:
    """Name -> shape and dtype of `painter`'s inputs for a frame of (height, width) and a batch, possibly symbolic."""
    shapes = {
        "source_image": ((*size, 3), np.uint8), "source_parsing": (size, np.uint8),
        "source_pose": ((18, 2), np.float32), "target_pose": ((18, 2), np.float32),
    }  # fmt: skip
    return {name: jax.ShapeDtypeStruct((batch, *shape), dtype) for name, (shape, dtype) in shapes.items()}


def stablehlo(
    paint: Callable,
    flat: Mapping[str, np.ndarray],
    size: tuple[int, int],
    batch: int | None = None,
    platforms: Sequence[str] = PLATFORMS,
) -> bytes:
    """`painter`'s function as a serialised `jax.export.Exported`, for any batch by default.

    For one platform and a given batch it is bit-equal to the Flax model. With a symbol for the batch, or a choice of
    platforms in it, XLA fuses the paint otherwise: floats differ in the last bit (9e-8 of a picture in [-1, 1]), and
    so a byte in a great many by one. A model without paint is bit-equal all the same.
    """
    batch = jax.export.symbolic_shape("batch")[0] if batch is None else batch
    shapes = {name: jax.ShapeDtypeStruct(array.shape, array.dtype) for name, array in flat.items()}
    program = jax.export.export(jax.jit(paint), platforms=platforms)(shapes, *inputs(size, batch).values())
    return bytes(program.serialize())


def tflite(paint: Callable, flat: Mapping[str, np.ndarray], size: tuple[int, int]) -> bytes:
    """`painter`'s function with its parameters as a TFLite model of built-in operations, for a batch of one.

    Raises:
      UserError: TensorFlow cannot be imported.
    """
    try:
        import tensorflow as tf
        from jax.experimental import jax2tf
    except ImportError as error:
        raise UserError(f"--format tflite needs TensorFlow ({error}); install it, or take another format") from error

    def painted(*arrays):
        return {"picture": paint(flat, *arrays)}

    signature = [tf.TensorSpec(spec.shape, spec.dtype, name) for name, spec in inputs(size, 1).items()]
    with tempfile.TemporaryDirectory() as folder:
        module = tf.Module()
        convert_fn = jax2tf.convert(painted, with_gradient=False)
        module.paint = tf.function(convert_fn, input_signature=signature, autograph=False)
        tf.saved_model.save(module, folder, signatures={"serving_default": module.paint.get_concrete_function()})
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        return converter.convert()


def _npz(flat: Mapping[str, np.ndarray]) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **flat)
    return stream.getvalue()


def _card(folder: Path) -> str:
    """The model's card, or a title where somebody took it away."""
    try:
        return files.read_text(folder / model_folder.CARD_FILE, _CARD_BYTES)
    except UserError:
        return "# A person in another pose\n"


def _with_use(card: str, use: str) -> str:
    """The card with another section on how the model is used."""
    before, found, rest = card.partition(_USE)
    _, and_after, after = rest.partition(_AFTER_USE)
    return before + use + and_after + after if found and and_after else card + "\n" + use


def _write_whole(output: Path, parts: Mapping[str, bytes]) -> None:
    """Into a folder beside `output`, which takes its name at the end."""
    unfinished = output.with_name(f".{output.name}.{os.getpid()}.part")
    try:
        unfinished.mkdir(parents=True)
        for name, data in parts.items():
            (unfinished / name).write_bytes(data)
        os.replace(unfinished, output)
    except OSError as error:
        raise UserError(f"--output {output} cannot be written ({error.strerror}); give another place") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
