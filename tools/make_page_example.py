"""Writes the page's example photo, scrn_jax/inference/page/example.jpg: an embedded person, of no one in the world.

python tools/make_page_example.py
"""

from pathlib import Path

from PIL import Image

from input_pipeline.mannequins.people import Person

OUTPUT = Path(__file__).parents[1] / "scrn_jax/inference/page/example.jpg"
SEED, IDENTITY, VIEW, HEIGHT, WIDTH = 1, 9, 1, 512, 352

if __name__ == "__main__":
    picture = Person.sample(SEED, IDENTITY).view(VIEW, HEIGHT, WIDTH).image
    Image.fromarray(picture).save(OUTPUT, quality=88)
