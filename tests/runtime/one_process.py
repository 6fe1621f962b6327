"""One process of a job of two, for test_distributed.py: python one_process.py FOLDER INDEX PORT.

FOLDER holds settings.json, frozen.json and arrays.npz (the leaves of a state and of the frozen networks, and batches).
Whatever the code calls float32 is float64 here, so that two processes and one are told apart by mistakes alone.
Trains on every batch, saves a checkpoint after the first SAVED, waits for a SIGTERM that reaches process 0 alone, goes
on from checkpoints of which process 1 cannot read the newest, and writes what it saw to INDEX.json. At the end process
1 is killed while both work on, and process 0 has to notice.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

import jax

jax.config.update("jax_enable_x64", True)
jax.numpy.float32 = jax.numpy.float64  # before flax and the models take it for their defaults

import numpy as np  # noqa: E402

from scrn_jax import settings  # noqa: E402
from scrn_jax.runtime import devices, distributed  # noqa: E402
from scrn_jax.training import checkpoints as checkpoints_lib  # noqa: E402
from scrn_jax.training import preemption, state  # noqa: E402
from scrn_jax.training import step as step_lib  # noqa: E402
from scrn_jax.training.checkpoints import QUICK_COMPILE  # noqa: E402

DEVICES, PROCESSES, SAVED, HEARTBEAT = 2, 2, 3, 10


def train(folder: Path, chosen: settings.Settings, mesh):
    """Train on this process's share of every batch; the losses of every step."""
    arrays = np.load(folder / "arrays.npz")

    def tree(name: str, structure):
        leaves = [arrays[f"{name}_{i}"] for i in range(structure.num_leaves)]
        return jax.device_put(jax.tree.unflatten(structure, leaves), devices.replicated(mesh))

    current = tree("state", jax.tree.structure(jax.eval_shape(lambda: state.init_state(chosen))))
    names = json.loads((folder / "frozen.json").read_text())
    frozen = tree("frozen", jax.tree.structure(names))
    replicated = devices.replicated(mesh)
    step = jax.jit(
        step_lib.make_train_step(chosen), in_shardings=(replicated, replicated, devices.data(mesh)),
        out_shardings=(replicated, replicated), donate_argnums=0, compiler_options=QUICK_COMPILE,
    )  # fmt: skip
    share, losses = chosen.train.batch_size // PROCESSES, []
    own = slice(jax.process_index() * share, (jax.process_index() + 1) * share)
    for number in range(int(arrays["steps"])):
        if number == SAVED:
            with checkpoints_lib.open_checkpoints(chosen, folder / "run") as checkpoints:
                checkpoints.save(number, current)
        batch = {key.split("/")[1]: arrays[key][own] for key in arrays.files if key.startswith(f"batch{number}/")}
        current, metrics = step(current, frozen, devices.put_batch(batch, mesh))
        losses.append({k: float(v) for k, v in jax.device_get(metrics).items() if k.startswith("loss/")})
    return losses


def restored_when_process_1_cannot_read_the_newest(folder: Path, mesh) -> int:
    """The step that this process goes on from."""
    placed = devices.replicated(mesh)
    with checkpoints_lib.Checkpoints(folder / "two", {}) as checkpoints:
        for step in (1, 2):
            checkpoints.save(step, {"x": jax.device_put(np.float64(step), placed)})
    handler, read = checkpoints_lib.ocp.StandardCheckpointHandler, checkpoints_lib.ocp.StandardCheckpointHandler.restore

    def fail_once(self, directory, **options):
        if jax.process_index() == 1 and Path(directory).parent.name == "2":
            raise OSError(5, "Input/output error")
        return read(self, directory, **options)

    handler.restore = fail_once
    with checkpoints_lib.Checkpoints(folder / "two", {}) as checkpoints:
        found = checkpoints.restore({"x": jax.ShapeDtypeStruct((), np.float64, sharding=placed)})
        checkpoints.set_aside()
        checkpoints.save(3, found)
    handler.restore = read
    return int(jax.device_get(found["x"]))


def agreed_stop() -> int:
    """The step after which this process stops when process 0 alone is sent a SIGTERM."""
    with preemption.Interruption() as stop:
        for step in range(1, 200):
            if step == 3 and jax.process_index() == 0:
                os.kill(os.getpid(), signal.SIGTERM)
            if stop.requested(step):
                return step
            time.sleep(0.1)
    return 0


def work_on_until_killed(mesh) -> None:
    """Add up over all devices for a minute; process 1 does not live through it."""
    ones = devices.put_batch({"x": np.ones(DEVICES, np.float32)}, mesh)["x"]
    total = jax.jit(jax.numpy.sum, out_shardings=devices.replicated(mesh))
    end = time.monotonic() + 60
    with distributed.peers_at_risk():
        for turn in range(100_000):
            jax.device_get(total(ones))
            if turn == 10 and jax.process_index() == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            if time.monotonic() > end:
                return
            time.sleep(0.01)


def main() -> None:
    folder, index, port = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", DEVICES)
    distributed.join(distributed.Job(f"localhost:{port}", PROCESSES, index, HEARTBEAT))
    chosen = settings.from_config(json.loads((folder / "settings.json").read_text()))
    mesh = devices.make_mesh()
    result = {
        "devices": mesh.size, "losses": train(folder, chosen, mesh), "stopped": agreed_stop(),
        "restored": restored_when_process_1_cannot_read_the_newest(folder, mesh),
    }  # fmt: skip
    (folder / f"{index}.json").write_text(json.dumps(result))
    work_on_until_killed(mesh)


if __name__ == "__main__":
    main()
