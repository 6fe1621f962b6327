"""Converts PyTorch weight files without running what is pickled in them: frozen networks into .npz, and the generators
that the authors of other methods published into the folder of an exported model.

    python -m scrn_jax.convert vgg19-dcbb9e9d.pth out.npz
    python -m scrn_jax.convert --model patn latest_net_netG.pth models/patn

It needs PyTorch, the extra 'convert'. A frozen network is told from the file's name, or by --network; docs/methods/ has
what is known of each --model.
"""

import argparse
import logging
import sys
from pathlib import Path

from scrn_jax.errors import UserError
from scrn_jax.models import base
from scrn_jax.models import published as tables
from scrn_jax.models.pretrained import torch_files
from scrn_jax.models.pretrained.catalogue import networks
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


def generator(chosen: Settings, source: Path, output: Path) -> None:
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


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="PyTorch's .pth file")
    parser.add_argument("destination", type=Path, help="the .npz to write, or with --model the new folder")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--network", choices=list(networks()), help="told from the file's name by default")
    kind.add_argument("--model", choices=tables.METHODS, help="the method whose authors published the generator")
    options = parser.parse_args(arguments)
    try:
        if options.model:
            generator(settings(options.model), options.source, options.destination)
        else:
            network = options.network or torch_files.network_of(options.source)
            torch_files.convert(options.source, options.destination, network)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"wrote {options.destination}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
