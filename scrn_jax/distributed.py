"""Many processes as one run: the flags and environments that say so. Importing this imports nothing that computes."""

import dataclasses
import logging
import os
from collections.abc import Mapping

from absl import flags

from scrn_jax.errors import UserError

_FLAGS = flags.FLAGS
_VARIABLES = "JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID (or JOB_COMPLETION_INDEX)"


@dataclasses.dataclass(frozen=True)
class Job:
    """This process's place in a run of many: None where JAX finds the values itself, as it does under SLURM."""

    coordinator: str | None = None
    processes: int | None = None
    index: int | None = None


def define_flags() -> None:
    """--coordinator, --num_processes and --process_id."""
    flags.DEFINE_string("coordinator", None, "HOST:PORT of process 0, when several processes train one model.")
    flags.DEFINE_integer("num_processes", None, "How many processes there are.", lower_bound=1)
    flags.DEFINE_integer("process_id", None, "Which of them this one is, from 0.", lower_bound=0)


def job_from_flags() -> Job | None:
    """What the flags say, or else the environment; None for a process on its own."""
    return find_job(_FLAGS.coordinator, _FLAGS.num_processes, _FLAGS.process_id, os.environ)


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
        jax.distributed.initialize(job.coordinator, job.processes, job.index)
    except (RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0][:300]
        raise UserError(f"this process cannot join the job at {job.coordinator}: {reason}") from error
    if jax.process_index():
        for package in ("scrn_jax", "input_pipeline"):
            logging.getLogger(package).setLevel(logging.WARNING)
