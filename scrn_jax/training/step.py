"""One training step, a pure function that updates G and D from one forward pass; the norms of single terms beside it;
and how both are compiled."""

import logging
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from scrn_jax import settings as settings_lib
from scrn_jax.models import base
from scrn_jax.runtime import devices, workers
from scrn_jax.settings import Settings
from scrn_jax.training import monitor, stages
from scrn_jax.training import state as state_lib
from scrn_jax.training.state import TrainState

log = logging.getLogger(__name__)

_STEPS = 0x57E9  # sets the steps' keys apart from those that parameters were drawn from


def key_of(seed: int, step):
    """The random key of a step (counted from 0), which (seed, step) alone determine: a resumed run draws the same."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), _STEPS), step)


def mean_over_parts(gradients, parts: int, state: TrainState, frozen, batch, key):
    """`gradients(state, frozen, batch, key)` with its second result averaged over `parts` equal parts of the batch.

    The first result does not depend on the batch. Part i holds every `parts`-th sample from i, so that each device
    finds its share of every part in its share of the batch. Means of per-sample means are the whole batch's; the face
    loss, which averages over the samples with a face, is then the mean of the parts' means. Every part has its own key.
    """
    if parts == 1:
        return gradients(state, frozen, batch, key)
    batches = jax.tree.map(lambda x: x.reshape(-1, parts, *x.shape[1:]).swapaxes(0, 1), batch)
    first = jax.tree.map(lambda x: x[0], batches)
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(gradients, state, frozen, first, key))

    def add(carried, part):
        constant, means = gradients(state, frozen, *part)
        return (constant, jax.tree.map(lambda total, mean: total + mean / parts, carried[1], means)), None

    # In a loop the demo's step, in two parts, took eighteen times as long on a CPU (JAX 0.10.2).
    unrolled = parts if jax.default_backend() == "cpu" else 1
    return jax.lax.scan(add, zeros, (batches, jax.random.split(key, parts)), unroll=unrolled)[0]


def _finite_or(new, old, finite):
    return jax.tree.map(lambda n, o: jnp.where(finite, n, o), new, old)


def _update(optimizer, gradient, optimizer_state, params, learning_rate):
    direction, optimizer_state = optimizer.update(gradient, optimizer_state, params)
    return optax.apply_updates(params, jax.tree.map(lambda d: -learning_rate * d, direction)), optimizer_state


def make_train_step(settings: settings_lib.Settings, gather=lambda state: state, *, first: bool = False):
    """Build step(state, frozen, batch) -> (state, metrics), pure and ready for `jax.jit` with the state donated.

    `first`: the step of the model's first stage, in place of that of all other steps.

    `frozen` are the model's pretrained parameters, an argument so that its 60 MB do not become constants.
    Metrics are float32 scalars: `loss/*` raw terms, `weighted/*` times their weights, gradient norms, D's accuracy,
    and the model's gauges; what a first stage does not compute is 0. With `train.accumulate` above 1 the batch is
    worked on in so many parts. `gather` gives the state that the networks compute with, from one whose parameters lie
    in parts on several devices.
    """
    model, optim = base.make(settings), settings.optim
    g_direction, d_direction = state_lib.make_optimizers(optim)
    constant, steps = optim.constant_steps, settings.train.steps
    schedule = optax.linear_schedule(optim.learning_rate, 0.0, max(1, steps - constant), transition_begin=constant)

    def generator_loss(params, names, state, frozen, batch, key):
        terms, outputs = model.generator_terms(params, (state.discriminator, state.spectral), frozen, batch, key)
        return sum(model.weights[name] * terms[name] for name in names), (terms, outputs)

    def gradients(state: TrainState, frozen, batch, key) -> tuple[Any, dict[str, Any]]:
        """D's moved spectral statistics, and what is a mean over the batch: gradients, losses, accuracies."""
        (g_loss, (terms, outputs)), g_gradient = jax.value_and_grad(generator_loss, has_aux=True)(
            state.generator, list(model.weights), state, frozen, batch, key
        )
        # The images are constants to D. Its forward pass here equals the one above, so XLA runs it once.
        (d_loss, (spectral, accuracy)), d_gradient = jax.value_and_grad(model.discriminator_loss, has_aux=True)(
            state.discriminator, state.spectral, batch, jax.lax.stop_gradient(outputs), key
        )
        return spectral, {
            "generator": g_gradient,
            "discriminator": d_gradient,
            "losses": {**terms, "generator": g_loss, "discriminator": d_loss},
            "accuracy": accuracy,
            "statistics": outputs.get(base.STATISTICS, {}),
        }

    def average(state: TrainState, new, old):
        """The exponential average: short at first, so that it forgets the random start."""
        age = stages.steps_in_stage(model, state.step)
        decay = jnp.minimum(optim.ema_decay, (1.0 + age) / (10.0 + age))
        return jax.tree.map(lambda mean, x: decay * mean + (1 - decay) * x, old, new)

    def closed(state: TrainState, moved: TrainState, losses, norms, accuracy) -> tuple[TrainState, dict[str, Any]]:
        """`moved` if all losses and norms of gradients are finite, else `state`; and the metrics of the step."""
        finite = jnp.isfinite(jnp.stack([losses["generator"], losses["discriminator"], *norms.values()])).all()
        stayed = state.replace(skipped=state.skipped + 1, skipped_in_row=state.skipped_in_row + 1)
        moved = moved.replace(skipped_in_row=jnp.zeros_like(state.skipped_in_row))
        ended = _finite_or(moved, stayed, finite).replace(step=state.step + 1)
        return ended, {
            **{f"loss/{name}": value for name, value in losses.items()},
            **{f"weighted/{name}": weight * losses[name] for name, weight in model.weights.items()},
            **{f"discriminator_accuracy/{name}": value for name, value in accuracy.items()},
            **{f"gradient_norm/{name}": norm for name, norm in norms.items()},
            "learning_rate": schedule(state.step),
            "skipped": ended.skipped.astype(jnp.float32),
            "skipped_in_row": ended.skipped_in_row.astype(jnp.float32),
            **model.gauges(ended.generator),
        }

    def step(state: TrainState, frozen, batch) -> tuple[TrainState, dict[str, Any]]:
        state = stages.begin(model, g_direction, state)
        spectral, means = mean_over_parts(
            gradients, settings.train.accumulate, gather(state), frozen, batch, key_of(settings.seed, state.step)
        )
        rate = schedule(state.step)
        generator, g_optimizer = _update(
            g_direction, means["generator"], state.generator_optimizer, state.generator, rate
        )
        generator = model.with_statistics(generator, means["statistics"])
        discriminator, d_optimizer = _update(
            d_direction, means["discriminator"], state.discriminator_optimizer, state.discriminator,
            rate * optim.discriminator_ratio,
        )  # fmt: skip
        moved = state.replace(
            generator=generator,
            discriminator=discriminator,
            spectral=spectral,
            generator_optimizer=g_optimizer,
            discriminator_optimizer=d_optimizer,
            ema=average(state, generator, state.ema),
        )
        norms = {name: optax.tree.norm(means[name]) for name in ("generator", "discriminator")}
        return closed(state, moved, means["losses"], norms, means["accuracy"])

    if not first:
        return step
    stage = model.first_stage

    def part_gradients(state: TrainState, frozen, batch, key) -> tuple[tuple[()], dict[str, Any]]:
        """As `gradients`, of the first stage's part and terms; nothing else of the networks is computed."""

        def loss(part):
            params = {**state.generator, stage.part: part}
            value, (terms, _) = generator_loss(params, stage.terms, state, frozen, batch, key)
            return value, {**{name: terms[name] for name in stage.terms}, "generator": value}

        gradient, losses = jax.grad(loss, has_aux=True)(state.generator[stage.part])
        return (), {"gradient": {stage.part: gradient}, "losses": losses}

    def first_step(state: TrainState, frozen, batch) -> tuple[TrainState, dict[str, Any]]:
        _, means = mean_over_parts(
            part_gradients, settings.train.accumulate, gather(state), frozen, batch, key_of(settings.seed, state.step)
        )
        own = stages.state_of(stage.part, g_direction, state.generator_optimizer, state.generator)
        before = {stage.part: state.generator[stage.part]}
        part, own = _update(g_direction, means["gradient"], own, before, schedule(state.step))
        moved = state.replace(
            generator=stages.put_back(part, state.generator),
            generator_optimizer=stages.put_back(own, state.generator_optimizer),
            ema=stages.put_back(average(state, part, {stage.part: state.ema[stage.part]}), state.ema),
        )
        nothing = jnp.zeros((), jnp.float32)
        losses = dict.fromkeys([*model.weights, "generator", "discriminator"], nothing) | means["losses"]
        norms = {"generator": optax.tree.norm(means["gradient"]), "discriminator": nothing}
        return closed(state, moved, losses, norms, {"real": nothing, "fake": nothing})

    return first_step


def jit_step(settings: Settings, mesh, compiler_options=None, *, first: bool = False):
    """`make_train_step`'s: the state donated and placed by `devices.parameters`, the batch split over the devices."""
    placement, replicated = devices.parameters(state_lib.shapes(settings), mesh), devices.replicated(mesh)
    return jax.jit(
        make_train_step(settings, _gather(mesh), first=first),
        in_shardings=(placement, replicated, devices.data(mesh)),
        out_shardings=(placement, replicated),
        donate_argnums=0,
        compiler_options=compiler_options,
    )


def compile_steps(settings: Settings, mesh, state, frozen, batch) -> Callable[[int], Any]:
    """Compile what a run needs from a state on, for batches like this one: each step's program by its number from 1.

    One program, or two where the run is still in a model's first stage. Logs the memory that each needs.
    """

    def compiled(first: bool):
        # Compiling takes more memory than training: what is free before and after it goes back to the system.
        workers.return_memory()
        program = jit_step(settings, mesh, first=first).lower(state, frozen, batch).compile()
        monitor.describe_memory(program)
        workers.return_memory()
        return program

    log.info("compiling the training step, once; then the first lines appear")
    whole, last_of_first = compiled(first=False), stages.last_step(base.make(settings))
    if int(jax.device_get(state.step)) >= last_of_first:
        return lambda number: whole
    first = compiled(first=True)
    return lambda number: first if number <= last_of_first else whole


def _gather(mesh):
    """Makes the networks' parameters whole on every device before anything is computed with them.

    Left to itself, XLA splits convolutions by channels where their parameters are, and moves features instead, which
    are many more numbers.
    """
    if mesh.shape[devices.FSDP_AXIS] == 1:
        return lambda state: state

    def gather(state):
        parts = {name: getattr(state, name) for name in ("generator", "discriminator", "spectral")}
        return state.replace(**jax.lax.with_sharding_constraint(parts, devices.replicated(mesh)))

    return gather


def make_term_gradient(settings: settings_lib.Settings, gather=lambda state: state):
    """Build gradient(shares, state, frozen, batch): of the sum of weight * share * term, by G's parameters.

    `shares` is a vector, an entry for each of the model's `weights`; ones give the training step's own gradient.
    The batch is worked on in `train.accumulate` parts, and `gather` used, as in the step.
    """
    model = base.make(settings)

    def gradient(shares, state, frozen, batch):
        def loss(params, state, frozen, batch, key):
            terms, _ = model.generator_terms(params, (state.discriminator, state.spectral), frozen, batch, key)
            parts = zip(shares, stages.weights_at(model, state.step).items(), strict=True)
            return sum(share * weight * terms[name] for share, (name, weight) in parts)

        def of_part(state, frozen, batch, key):
            return jnp.zeros(()), jax.grad(loss)(state.generator, state, frozen, batch, key)

        key = key_of(settings.seed, state.step)
        return mean_over_parts(of_part, settings.train.accumulate, gather(state), frozen, batch, key)[1]

    return gradient


def make_term_norms(settings: settings_lib.Settings, mesh=None):
    """Build norms(state, frozen, batch) -> {"gradient_norm/terms/NAME": float32 scalar}.

    Norms over all of G's parameters, before any clipping; a term of weight 0 has none. One program, compiled for state
    and batch as they are or placed as the step's on `mesh`, is called for one term after the other: it needs the memory
    of one step, and for six terms the time of about six.
    """
    names, gather, options = list(base.make(settings).weights), lambda state: state, {}
    each = jnp.eye(len(names))
    if mesh is not None:
        placement, replicated = devices.parameters(state_lib.shapes(settings), mesh), devices.replicated(mesh)
        options = {"in_shardings": (replicated, placement, replicated, devices.data(mesh)), "out_shardings": replicated}
        gather, each = _gather(mesh), jax.device_put(each, replicated)
    gradient, alone = make_term_gradient(settings, gather), dict(zip(names, each, strict=True))
    norm = jax.jit(lambda *given: optax.tree.norm(gradient(*given)), **options)

    def norms(state, frozen, batch):
        return {f"gradient_norm/terms/{name}": norm(shares, state, frozen, batch) for name, shares in alone.items()}

    return norms
