"""Weights that a method's authors published, as the folder of an exported model."""

import logging
from pathlib import Path

from scrn_jax.models import base
from scrn_jax.models import published as tables
from scrn_jax.models.pretrained import convert as torch_files
from scrn_jax.settings import Settings, defaults, from_config
from scrn_jax.training import export

log = logging.getLogger(__name__)


def settings(method: str) -> Settings:
    """What configs/methods.py says of the method's model and frame, with `model.published`."""
    config = defaults(method)
    config["model"]["published"] = True
    return from_config({
        **config, "size": (256, 176), "adversarial": "lsgan",
        "data": {"name": "folder", "dir": "data/deepfashion"},
    })  # fmt: skip


def convert(chosen: Settings, source: Path, output: Path) -> None:
    """Write the generator in PyTorch's `source` as the new folder `output`, whole or not at all.

    Args:
      chosen: the settings of the model that the file is of, see `settings`.

    Raises:
      UserError: `output` exists already or cannot be written; the file is not there, cannot be read as plain tensors,
        or holds others than this model's generator has.
    """
    export.check_new(output)
    digest = torch_files.checked(source)
    model, method = base.make(chosen), chosen.model.name
    tensors = torch_files.read_torch(source)
    params = tables.parameters(method, chosen.model, model.generator_shapes(), tensors, str(source))
    said = export.description(chosen, step=0, report=None)
    said["published"] = {"file": source.name, "sha256": digest}
    origin = (
        f"the weights in `{source.name}` (sha256 {digest}), which were converted as those that its authors published "
        "and whose terms hold for this folder as well"
    )
    export.write_folder(output, said, export.card(said, model.summary, origin), params)
    log.info("converted %s: %s", source, output)
