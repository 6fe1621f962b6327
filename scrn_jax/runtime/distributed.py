"""Many processes as one run: the flags and environments that say so. Importing this imports nothing that computes."""

import contextlib
import dataclasses
import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping

from absl import flags

from scrn_jax.errors import UserError, first_line

_FLAGS = flags.FLAGS
_VARIABLES = "JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID (or JOB_COMPLETION_INDEX)"
HEARTBEAT_SECONDS = 30
# What the errors of gloo, NCCL and JAX's coordination service have in common when a process no longer answers.
_LOST = re.compile(r"gloo|nccl|connection|peer|heartbeat|coordination|barrier", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Job:
    """This process's place in a run of many: None where JAX finds the values itself, as it does under SLURM.

    heartbeat_seconds: after how many seconds without a sign of life a process counts as dead and the job ends.
    """

    coordinator: str | None = None
    processes: int | None = None
    index: int | None = None
    heartbeat_seconds: int = HEARTBEAT_SECONDS


def define_flags() -> None:
    """--coordinator, --num_processes, --process_id and --heartbeat_seconds."""
    flags.DEFINE_string("coordinator", None, "HOST:PORT of process 0, when several processes train one model.")
    flags.DEFINE_integer("num_processes", None, "How many processes there are.", lower_bound=1)
    flags.DEFINE_integer("process_id", None, "Which of them this one is, from 0.", lower_bound=0)
    flags.DEFINE_integer(
        "heartbeat_seconds", HEARTBEAT_SECONDS, "How long a process may be silent until all end.", lower_bound=1
    )


def job_from_flags() -> Job | None:
    """What the flags say, or else the environment; None for a process on its own."""
    job = find_job(_FLAGS.coordinator, _FLAGS.num_processes, _FLAGS.process_id, os.environ)
    return job and dataclasses.replace(job, heartbeat_seconds=_FLAGS.heartbeat_seconds)


def find_job(
    coordinator: str | None, processes: int | None, index: int | None, environment: Mapping[str, str]
) -> Job | None:
    """The job that three flags describe, or else the environment; None for a process on its own.

    In the environment: SLURM's own variables, in a step of several tasks (srun); or JAX_COORDINATOR_ADDRESS,
    JAX_NUM_PROCESSES and JAX_PROCESS_ID, for which JOB_COMPLETION_INDEX of a Kubernetes indexed Job may stand.

    Raises:
      UserError: some of the three are given and some are not, or they are no numbers that fit.
    """
    given = coordinator, processes, index
    if given == (None, None, None):
        if int(environment.get("SLURM_STEP_NUM_TASKS", "1")) > 1 and "SLURM_PROCID" in environment:
            return Job()
        coordinator = environment.get("JAX_COORDINATOR_ADDRESS")
        if coordinator is None:
            return None
        processes = environment.get("JAX_NUM_PROCESSES")
        index = environment.get("JAX_PROCESS_ID", environment.get("JOB_COMPLETION_INDEX"))
        given = coordinator, processes, index
    if None in given:
        raise UserError(
            f"a run of several processes needs --coordinator, --num_processes and --process_id, or {_VARIABLES} in "
            "the environment: give all three"
        )
    try:
        job = Job(coordinator, int(processes), int(index))
    except ValueError as error:
        raise UserError(f"{_VARIABLES}: {error}; give whole numbers") from error
    if not 0 <= job.index < job.processes:
        raise UserError(f"process {job.index} of {job.processes} does not exist; they are counted from 0")
    return job


def join(job: Job | None) -> None:
    """Become part of the job, before JAX is used; on other processes than the first only warnings are said.

    Raises:
      UserError: the coordinator does not answer.
    """
    if job is None:
        return
    import jax

    try:
        jax.distributed.initialize(
            job.coordinator, job.processes, job.index, heartbeat_timeout_seconds=job.heartbeat_seconds
        )
    except (RuntimeError, ValueError) as error:
        reason = first_line(error)
        raise UserError(f"this process cannot join the job at {job.coordinator}: {reason}") from error
    if jax.process_index():
        for package in ("scrn_jax", "input_pipeline"):
            logging.getLogger(package).setLevel(logging.WARNING)


def is_of_a_lost_peer(error: BaseException | None) -> bool:
    """Whether an error of JAX says that another process of this job no longer answers."""
    import jax

    return jax.process_count() > 1 and isinstance(error, jax.errors.JaxRuntimeError) and bool(_LOST.search(str(error)))


@contextlib.contextmanager
def peers_at_risk() -> Iterator[None]:
    """Ends this process with a line and code 1 when its work fails because another process of the job is gone.

    It ends without ceremony: whatever JAX and Orbax do at an orderly end waits for the process that is gone.
    """
    try:
        yield
    except Exception as error:
        if not is_of_a_lost_peer(error):
            raise
        reason = first_line(error)
        print(
            f"error: another process of this run has gone ({reason}); start all of them again: they go on from the "
            "newest checkpoint",
            file=sys.stderr,
            flush=True,
        )
        os._exit(1)
