"""One step on one device, on four, and on two by two that share parameters: the same numbers, computed in float64."""

from functools import partial
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from scrn_jax.errors import UserError
from scrn_jax.evaluation import samples
from scrn_jax.models import base
from scrn_jax.runtime import devices
from scrn_jax.training import checkpoints as checkpoints_lib
from scrn_jax.training import monitor

EQUAL = 1e-9  # relative, in float64: a hundred thousand times what rounding gives, a thousandth of what float32 would


@pytest.fixture(scope="module")
def on_four(trainer_of, tiny_settings):
    """The step on four devices."""
    return trainer_of(tiny_settings(), devices=4, double=True)


@pytest.fixture(scope="module")
def two_by_two(trainer_of, tiny_settings):
    """The step on four devices, of which two share a copy of the parameters."""
    return trainer_of(tiny_settings(fsdp=2), devices=4, double=True)


@pytest.fixture(scope="module")
def one(double_trainer, first_state, make_batch):
    """(state, metrics) after one step on one device."""
    return jax.device_get(double_trainer.step(double_trainer.put(first_state), make_batch(0)))


@pytest.fixture(scope="module")
def four(on_four, first_state, make_batch):
    """(state, metrics) after one step on four devices, the state where the step left it."""
    return on_four.step(on_four.put(first_state), make_batch(0))


@pytest.fixture(scope="module")
def shared(two_by_two, first_state, make_batch):
    """(state, metrics) after one step on two by two devices, the state where the step left it."""
    return two_by_two.step(two_by_two.put(first_state), make_batch(0))


@pytest.fixture(params=[pytest.param("four", marks=pytest.mark.slow), "shared"])
def several(request):
    """What several devices make of the step."""
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_several_devices_give_one_devices_gradients(network, one, several, gradient_of):
    expected, found = gradient_of(one[0], network), gradient_of(several[0], network)
    assert found.dtype == np.float64
    assert np.linalg.norm(found - expected) < EQUAL * np.linalg.norm(expected)


def test_several_devices_give_one_devices_losses(one, several):
    for name, value in one[1].items():
        np.testing.assert_allclose(several[1][name], value, rtol=EQUAL, err_msg=name)


def test_several_devices_give_one_devices_singular_vectors(one, several):
    found = jax.device_get(several[0].spectral)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=EQUAL), found, one[0].spectral)


def _bytes_on_first_device(tree) -> int:
    return sum(leaf.addressable_shards[0].data.nbytes for leaf in jax.tree.leaves(tree))


def test_two_devices_that_share_parameters_hold_half_of_the_large_ones_each(shared):
    whole = sum(leaf.nbytes for leaf in jax.tree.leaves(shared[0]))
    small = sum(leaf.nbytes for leaf in jax.tree.leaves(shared[0]) if leaf.size < devices.SMALL)
    assert _bytes_on_first_device(shared[0]) == small + (whole - small) / 2 < 0.6 * whole


def test_a_step_leaves_the_state_where_it_found_it(two_by_two, shared, first_state):
    """Else the next one would have to be compiled for another placement."""
    placement = devices.parameters(first_state, two_by_two.mesh)
    jax.tree.map(lambda leaf, to: leaf.sharding.is_equivalent_to(to, leaf.ndim) or pytest.fail(), shared[0], placement)


def test_the_largest_dimension_that_divides_is_split():
    mesh = devices.make_mesh(fsdp=4)
    shapes = {"kernel": (3, 3, 32, 64), "square": (3, 3, 32, 32), "odd": (3, 7, 36, 30), "none": (3, 3, 13, 15),
              "small": (1, 1, 8, 64)}  # fmt: skip
    placed = devices.parameters({name: jax.ShapeDtypeStruct(x, "float32") for name, x in shapes.items()}, mesh)
    assert {name: tuple(to.spec) for name, to in placed.items()} == {
        "kernel": (None, None, None, "fsdp"), "square": (None, None, None, "fsdp"), "odd": (None, None, "fsdp", None),
        "none": (), "small": ()}  # fmt: skip


def test_without_sharing_everything_is_replicated(first_state):
    mesh = devices.make_mesh()
    assert all(to.is_fully_replicated for to in jax.tree.leaves(devices.parameters(first_state, mesh)))
    assert devices.gathered(first_state, mesh) is first_state


def test_devices_that_cannot_be_grouped_are_refused():
    with pytest.raises(UserError, match=r"config\.fsdp is 3, which 4 devices cannot be grouped by"):
        devices.make_mesh(fsdp=3)


@pytest.mark.parametrize(("saved", "restored"), [pytest.param(2, 1, marks=pytest.mark.slow), (1, 4)])
def test_a_checkpoint_goes_on_under_another_sharing(saved, restored, tmp_path, tiny_settings, first_state):
    settings, mesh = tiny_settings(fsdp=restored), devices.make_mesh(fsdp=restored)
    before = jax.device_put(first_state, devices.parameters(first_state, devices.make_mesh(fsdp=saved)))
    with checkpoints_lib.open_checkpoints(tiny_settings(fsdp=saved), tmp_path) as checkpoints:
        checkpoints.save(1, before)
    with checkpoints_lib.open_checkpoints(settings, tmp_path) as checkpoints:
        after = checkpoints_lib.newest(settings, mesh, checkpoints)
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(after), first_state)
    placement = devices.parameters(first_state, mesh)
    jax.tree.map(lambda leaf, to: leaf.sharding.is_equivalent_to(to, leaf.ndim) or pytest.fail(), after, placement)


def test_a_fresh_state_does_not_depend_on_the_sharing(tmp_path, monkeypatch, tiny_settings, first_state):
    """Of one array in place of the networks, because it compiles at once."""

    def init_state(settings):
        kernel = jax.random.normal(jax.random.key(settings.seed), (64, 48))
        return jax.tree.map(lambda _: kernel, first_state, is_leaf=lambda part: isinstance(part, dict))

    monkeypatch.setattr(checkpoints_lib.state, "init_state", init_state)
    with checkpoints_lib.open_checkpoints(tiny_settings(), tmp_path) as checkpoints:
        whole, split = (
            checkpoints_lib.newest_or_fresh(tiny_settings(), devices.make_mesh(fsdp=fsdp), checkpoints).generator
            for fsdp in (1, 2)
        )
    assert whole.addressable_shards[0].data.shape == (64, 48) and split.addressable_shards[0].data.shape == (32, 48)
    np.testing.assert_allclose(split, whole, rtol=1e-6)


def test_a_sheet_is_drawn_from_shared_parameters(
    monkeypatch, two_by_two, tiny_settings, first_state, make_batch, quick_compile
):
    monkeypatch.setattr(jax, "jit", partial(jax.jit, compiler_options=quick_compile))
    average = jax.device_put(first_state.ema, devices.parameters(first_state.ema, two_by_two.mesh))
    drawn = [
        samples.Samples(base.make(tiny_settings()), two_by_two.mesh, make_batch(0)).draw(params)
        for params in (average, devices.gathered(average, two_by_two.mesh))
    ]
    difference = np.abs(np.subtract(*(np.asarray(page, np.int16) for page in drawn)))
    assert difference.max() <= 1


@pytest.mark.slow
def test_the_new_state_is_whole_on_every_device(four):
    assert all(leaf.sharding.is_fully_replicated and len(leaf.devices()) == 4 for leaf in jax.tree.leaves(four[0]))


def test_a_batch_is_split_in_order(make_batch):
    mesh, batch = devices.make_mesh(), make_batch(0)
    placed = devices.put_batch(batch, mesh)["target_pose"]
    np.testing.assert_array_equal(placed, batch["target_pose"])
    assert [shard.index[0].start for shard in placed.addressable_shards] == [0, 1, 2, 3]


def test_a_batch_that_four_devices_cannot_share_is_refused():
    with pytest.raises(UserError, match=r"config\.train\.batch_size is 6, which 4 devices.*multiple"):
        devices.check_batch_size(6, devices.make_mesh(), "config.train.batch_size")


@pytest.fixture
def system(tmp_path, monkeypatch):
    """A folder of device files, in the eyes of a JAX that computes on the processor without having been asked to."""
    config = SimpleNamespace(jax_platforms=None)
    monkeypatch.setattr(devices, "jax", SimpleNamespace(default_backend=lambda: "cpu", config=config))
    return tmp_path


@pytest.mark.parametrize(
    ("file", "found"), [("nvidia0", True), ("kfd", True), ("accel3", True), ("null", False), ("nvidiactl", False)]
)
def test_an_accelerator_that_is_not_used_is_found(system, file, found):
    (system / file).touch()
    assert devices.unused_accelerator(system) == (str(system / file) if found else None)


def test_the_start_of_a_run_says_loudly_that_an_accelerator_is_not_used(monkeypatch, tiny_settings, caplog):
    monkeypatch.setattr(devices, "unused_accelerator", lambda: "/dev/nvidia0")
    monkeypatch.setattr(monitor, "forward_gigaflops", lambda _: 1.0)
    monitor.describe(tiny_settings(), devices.make_mesh(jax.devices()[:1]), 12, 3)
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert line.startswith("COMPUTING ON THE CPU, although this machine has /dev/nvidia0")


def test_who_asks_for_the_processor_misses_no_accelerator(system):
    (system / "nvidia0").touch()
    devices.jax.config.jax_platforms = "cpu"
    assert devices.unused_accelerator(system) is None


def test_an_accelerator_in_use_is_not_missed(system):
    (system / "nvidia0").touch()
    devices.jax.default_backend = lambda: "gpu"
    assert devices.unused_accelerator(system) is None


def test_options_of_the_cpus_compiler_are_for_the_cpu_only(monkeypatch, tiny_settings, tmp_path):
    """A GPU's compiler refuses them, or takes them otherwise."""
    seen = []

    def jit(function, *, out_shardings, compiler_options):
        seen.append(compiler_options)
        return lambda: "state"

    with checkpoints_lib.open_checkpoints(tiny_settings(), tmp_path) as checkpoints:
        mesh = devices.make_mesh(jax.devices()[:1])
        monkeypatch.setattr(checkpoints_lib.jax, "jit", jit)
        monkeypatch.setattr(checkpoints_lib.state, "filled", lambda settings, fresh, placement: fresh)
        for backend in ("cpu", "gpu"):
            monkeypatch.setattr(checkpoints_lib.jax, "default_backend", lambda backend=backend: backend)
            assert checkpoints_lib.newest_or_fresh(tiny_settings(), mesh, checkpoints) == "state"
    assert seen == [checkpoints_lib.QUICK_COMPILE, None]
