"""Packs an exported model as what comes with the package: parameters in float16, its card, its figures.

    python -m scrn_jax.main --mode export --workdir runs/people --output exports/people
    python tools/ship_model.py --model exports/people

Writes scrn_jax/inference/assets/people/: params.npz (float16), model.json with its SHA-256, and README.md. The figures
are those of the export or, where somebody has evaluated it since (--mode evaluate --workdir exports/people), the report
that lies in its folder.
"""

import argparse
from pathlib import Path

import jax

from scrn_jax.errors import UserError
from scrn_jax.inference import model_folder
from scrn_jax.models import base
from scrn_jax.runtime import devices
from scrn_jax.training import export

OUTPUT = Path(__file__).parents[1] / "scrn_jax/inference/assets/people"
MOST_BYTES = 12 << 20


def main() -> None:
    """Packs the model of --model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="the --output of --mode export")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--note", default="", help="a paragraph for the card: figures on photos, limits")
    parser.add_argument("--parsing_sleeves", type=float, help="config.model.parsing_sleeves of what is packed")
    parser.add_argument("--parsing_bared", action="store_true", help="config.model.parsing_bared of what is packed")
    args = parser.parse_args()
    generator = base.make(model_folder.read_settings(args.model))
    mesh = devices.make_mesh(jax.local_devices()[:1])
    params = model_folder.read_params(args.model, generator, devices.replicated(mesh))
    model = dict(model_folder.read_model_file(args.model))
    model["config"]["data"]["dir"] = Path(model["config"]["data"]["dir"]).name  # where it lay is nobody's business
    if args.parsing_sleeves is not None:
        model["config"]["model"]["parsing_sleeves"] = args.parsing_sleeves
    if args.parsing_bared:
        model["config"]["model"]["parsing_bared"] = True
    model["report"] = export.read_report(args.model, model["step"]) or model["report"]
    card = export.card(model, generator.summary)
    card = f"{card.rstrip()}\n\n{args.note}".rstrip() + "\n"
    try:
        size = model_folder.write_packed(args.output, model, card, jax.device_get(params), MOST_BYTES)
    except UserError as error:
        raise SystemExit(f"error: {error}") from error
    print(f"{args.output}: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
