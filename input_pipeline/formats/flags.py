"""The flags that this package's commands share."""

from absl import flags

from scrn_jax.errors import UserError


def define() -> None:
    """The flags about a DeepFashion folder and about the work, which all commands have."""
    flags.DEFINE_integer("annotation_width", None, "Width of the annotations' frame: 176, or 256 with side bars.")
    flags.DEFINE_string(
        "merge", None,
        "Classes of the parsing maps: regions (default), lip, cihp, atr, adgan, pise, or a list 0,1,1,...",
    )  # fmt: skip
    flags.DEFINE_string("images", None, "Folder or archive of the images below the data set's, when there are several.")
    flags.DEFINE_integer("processes", None, "Worker processes; default: one per core.", lower_bound=0)
    flags.DEFINE_integer("samples", 24, "Pictures on the page.", lower_bound=0)


def chosen() -> dict[str, object]:
    """Those of `deepfashion.Options` that were given as flags."""
    given = {key: flags.FLAGS[key].value for key in ("annotation_width", "merge", "images")}
    if given["merge"] is not None:
        given["merge"] = merge_from_text(given["merge"])
    return {key: value for key, value in given.items() if value is not None}


def merge_from_text(text: str) -> str | tuple[int, ...]:
    """A merge as a flag gives it: the name of a table, or the regions of class 0, of class 1, ..., with commas."""
    if "," not in text:
        return text
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise UserError(f"--merge {text}: name a table or list numbers with commas ({error})") from error
