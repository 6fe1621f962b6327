"""One step on one device and on four: the same numbers, and batches that cannot be shared are refused."""

import jax
import numpy as np
import pytest

from scrn_jax import sharding
from scrn_jax.errors import UserError


@pytest.fixture(scope="module")
def both(trainer, trainer_on_four, first_state, make_batch):
    """(state, metrics) after one step on one and on four devices."""
    results = (each.step(each.put(first_state), make_batch(0)) for each in (trainer, trainer_on_four))
    return [jax.device_get(result) for result in results]


@pytest.fixture(scope="module")
def gradients(both, adam_of):
    """A network's whole gradient as a vector, on one and on four devices."""

    def of(state, network):
        # After one step, Adam's running mean is a tenth of the gradient.
        mean = adam_of(getattr(state, f"{network}_optimizer")).mu
        return 10 * np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(mean)])

    return lambda network: [of(state, network) for state, _ in both]


@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_four_devices_give_one_devices_gradients(gradients, network):
    """Up to rounding, which the kinks of L1 and ReLU amplify."""
    one, four = gradients(network)
    assert np.linalg.norm(four - one) < 1e-4 * np.linalg.norm(one)
    np.testing.assert_allclose(four, one, atol=1e-4 * np.abs(one).max())


def test_four_devices_give_one_devices_losses(both):
    (_, one), (_, four) = both
    for name in one:
        np.testing.assert_allclose(four[name], one[name], rtol=1e-4, err_msg=name)


def test_four_devices_give_one_devices_singular_vectors(both):
    (one, _), (four, _) = both
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), one.spectral, four.spectral)


def test_the_new_state_is_whole_on_every_device(trainer_on_four, first_state, make_batch):
    state, _ = trainer_on_four.step(trainer_on_four.put(first_state), make_batch(0))
    assert all(leaf.sharding.is_fully_replicated and len(leaf.devices()) == 4 for leaf in jax.tree.leaves(state))


def test_a_batch_is_split_in_order(make_batch):
    mesh, batch = sharding.make_mesh(), make_batch(0)
    placed = sharding.put_batch(batch, mesh)["target_pose"]
    np.testing.assert_array_equal(placed, batch["target_pose"])
    assert [shard.index[0].start for shard in placed.addressable_shards] == [0, 1, 2, 3]


def test_a_batch_that_four_devices_cannot_share_is_refused():
    with pytest.raises(UserError, match=r"config\.train\.batch_size is 6, which 4 devices.*multiple"):
        sharding.check_batch_size(6, sharding.make_mesh(), "config.train.batch_size")
