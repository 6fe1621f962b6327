"""The two discriminators that see a picture beside a condition: the network, what each is shown, the losses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scrn_jax.models import base, conditioned

HEIGHT, WIDTH, CHANNELS = 32, 20, 4
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def batch(person_batch):
    return person_batch(HEIGHT, WIDTH)


def test_dropout_is_the_same_where_the_generator_and_the_discriminators_look(batch, run):
    """Their passes over the generated pictures are one: the term is the distance to 1 of the maps from its key."""
    pair = conditioned.Pair(conditioned.ResidualDiscriminator(CHANNELS, 1, 0.5), (HEIGHT, WIDTH))
    params, image = run(pair.init)(KEY), base.to_float(batch["target_image"])
    term = run(pair.generator_term)(params, batch, image, KEY)
    maps = run(pair.look)(params, batch, image, jax.random.split(KEY)[0])
    np.testing.assert_allclose(term, sum(jnp.mean((each - 1) ** 2) for each in maps.values()) / 2, rtol=1e-5)
    other = run(pair.look)(params, batch, image, jax.random.split(KEY)[1])
    assert all(np.abs(maps[name] - other[name]).max() > 1e-2 for name in maps)
