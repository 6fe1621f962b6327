"""What names tell of a pair beside its pictures: of DeepFashion sex and category, of embedded people everything."""

import functools
import re

from input_pipeline.mannequins import people
from input_pipeline.mannequins.clothes import cloth

_DEEPFASHION = re.compile(r"fashion(WOMEN|MEN)(.+?)id\d{8}")
_MANNEQUIN = re.compile(r"mannequin_(\d+)_(\d{5,})_(\d{2,})")
# Shorts count as trousers. Other categories are of what is worn above, or of all at once.
_CATEGORIES = {"Dresses": "dress", "Skirts": "skirt"} | dict.fromkeys(
    ("Denim", "Leggings", "Pants", "Shorts"), "trousers"
)
_AS_PLAIN = ("plain", "denim", "rib")  # patterns that a picture of a whole person does not show

Facts = dict[str, str | float]


def of_pair(source_name: str, target_name: str) -> Facts:
    """Whatever is known, of the keys that `scrn_jax.metrics.groups.assign` takes; empty for names that say nothing."""
    source, target = of_picture(source_name), dict(of_picture(target_name))
    yaws = {"source_yaw": source.get("yaw"), "target_yaw": target.pop("yaw", None)}
    return target | {name: value for name, value in yaws.items() if value is not None}


@functools.lru_cache(maxsize=4096)
def of_picture(name: str) -> Facts:
    """Likewise of one picture; its yaw in degrees is "yaw"."""
    if match := _DEEPFASHION.match(name):
        sex, category = match.groups()
        facts: Facts = {"sex": sex.lower()}
        return facts | ({"garment": _CATEGORIES[category]} if category in _CATEGORIES else {})
    if match := _MANNEQUIN.fullmatch(name):
        return _of_mannequin(*map(int, match.groups()))
    return {}


def _of_mannequin(seed: int, identity: int, index: int) -> Facts:
    woman, look, yaw = people.known(seed, identity, index)
    worn = [look.top, look.bottom, *look.skirts]
    cloths: list[cloth.Cloth | None] = [look.top.inner, *(garment.cloth for garment in worn if garment is not None)]
    patterned = any(each is not None and each.pattern not in _AS_PLAIN for each in cloths)
    return {
        "yaw": yaw,
        "clothes": "patterned" if patterned else "plain",
        "garment": "trousers" if look.bottom is not None else "dress" if look.dress else "skirt",
        "sex": "women" if woman else "men",
    }
