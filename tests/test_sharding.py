"""One step on one device, on four, and on two by two that share parameters: the same numbers."""

import jax
import numpy as np
import pytest

from scrn_jax import restore, samples, sharding
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


@pytest.fixture(scope="module")
def two_by_two(trainer_of, tiny_settings):
    """The step on four devices, of which two share a copy of the parameters."""
    return trainer_of(tiny_settings(fsdp=2), devices=4)


@pytest.fixture(scope="module")
def shared(two_by_two, first_state, make_batch):
    """(state, metrics) after one step on two by two devices, the state where the step left it."""
    return two_by_two.step(two_by_two.put(first_state), make_batch(0))


def test_sharing_parameters_gives_the_same_losses(both, shared):
    for name, value in both[1][1].items():
        np.testing.assert_allclose(shared[1][name], value, rtol=1e-4, err_msg=name)


@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_sharing_parameters_gives_the_same_gradients(network, gradients, shared, adam_of):
    mean = jax.device_get(adam_of(getattr(shared[0], f"{network}_optimizer")).mu)
    found = 10 * np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(mean)])
    _, four = gradients(network)
    assert np.linalg.norm(found - four) < 1e-4 * np.linalg.norm(four)


def _bytes_on_first_device(tree) -> int:
    return sum(leaf.addressable_shards[0].data.nbytes for leaf in jax.tree.leaves(tree))


def test_two_devices_that_share_parameters_hold_half_of_the_large_ones_each(shared, first_state):
    whole = sum(leaf.nbytes for leaf in jax.tree.leaves(first_state))
    small = sum(leaf.nbytes for leaf in jax.tree.leaves(first_state) if leaf.size < sharding.SMALL)
    assert _bytes_on_first_device(shared[0]) == small + (whole - small) / 2 < 0.6 * whole


def test_a_step_leaves_the_state_where_it_found_it(two_by_two, shared, first_state):
    """Else the next one would have to be compiled for another placement."""
    placement = sharding.parameters(first_state, two_by_two.mesh)
    jax.tree.map(lambda leaf, to: leaf.sharding.is_equivalent_to(to, leaf.ndim) or pytest.fail(), shared[0], placement)


def test_the_largest_dimension_that_divides_is_split():
    mesh = sharding.make_mesh(fsdp=4)
    shapes = {"kernel": (3, 3, 32, 64), "square": (3, 3, 32, 32), "odd": (3, 7, 36, 30), "none": (3, 3, 13, 15),
              "small": (1, 1, 8, 64)}  # fmt: skip
    placed = sharding.parameters({name: jax.ShapeDtypeStruct(x, "float32") for name, x in shapes.items()}, mesh)
    assert {name: tuple(to.spec) for name, to in placed.items()} == {
        "kernel": (None, None, None, "fsdp"), "square": (None, None, None, "fsdp"), "odd": (None, None, "fsdp", None),
        "none": (), "small": ()}  # fmt: skip


def test_without_sharing_everything_is_replicated(first_state):
    mesh = sharding.make_mesh()
    assert all(to.is_fully_replicated for to in jax.tree.leaves(sharding.parameters(first_state, mesh)))
    assert sharding.gathered(first_state, mesh) is first_state


def test_devices_that_cannot_be_grouped_are_refused():
    with pytest.raises(UserError, match=r"config\.fsdp is 3, which 4 devices cannot be grouped by"):
        sharding.make_mesh(fsdp=3)


@pytest.mark.parametrize(("saved", "restored"), [(2, 1), (1, 4)])
def test_a_checkpoint_goes_on_under_another_sharing(saved, restored, tmp_path, tiny_settings, first_state):
    settings, mesh = tiny_settings(fsdp=restored), sharding.make_mesh(fsdp=restored)
    before = jax.device_put(first_state, sharding.parameters(first_state, sharding.make_mesh(fsdp=saved)))
    with restore.open_checkpoints(tiny_settings(fsdp=saved), tmp_path) as checkpoints:
        checkpoints.save(1, before)
    with restore.open_checkpoints(settings, tmp_path) as checkpoints:
        after = restore.newest(settings, mesh, checkpoints)
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(after), first_state)
    placement = sharding.parameters(first_state, mesh)
    jax.tree.map(lambda leaf, to: leaf.sharding.is_equivalent_to(to, leaf.ndim) or pytest.fail(), after, placement)


def test_a_fresh_state_does_not_depend_on_the_sharing(tmp_path, monkeypatch, tiny_settings, first_state):
    """Of one array in place of the networks, because it compiles at once."""

    def init_state(settings):
        kernel = jax.random.normal(jax.random.key(settings.seed), (64, 48))
        return jax.tree.map(lambda _: kernel, first_state, is_leaf=lambda part: isinstance(part, dict))

    monkeypatch.setattr(restore.state, "init_state", init_state)
    with restore.open_checkpoints(tiny_settings(), tmp_path) as checkpoints:
        whole, split = (
            restore.newest_or_fresh(tiny_settings(), sharding.make_mesh(fsdp=fsdp), checkpoints).generator
            for fsdp in (1, 2)
        )
    assert whole.addressable_shards[0].data.shape == (64, 48) and split.addressable_shards[0].data.shape == (32, 48)
    np.testing.assert_allclose(split, whole, rtol=1e-6)


def test_a_sheet_is_drawn_from_shared_parameters(monkeypatch, two_by_two, shared, tiny_settings, make_batch):
    monkeypatch.setattr(samples.pairs, "eval_batches", lambda *_, **__: iter([make_batch(0)]))
    drawn = [
        samples.Samples(tiny_settings(), two_by_two.mesh, [0], 1).draw(params)
        for params in (shared[0].ema, sharding.gathered(shared[0].ema, two_by_two.mesh))
    ]
    difference = np.abs(np.subtract(*(np.asarray(page, np.int16) for page in drawn)))
    assert difference.max() <= 1


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
