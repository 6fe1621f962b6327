"""One training step: a pure function that updates G and D from one forward pass of the generator."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from scrn_jax import losses
from scrn_jax import settings as settings_lib
from scrn_jax import state as state_lib
from scrn_jax.features.alexnet import AlexNet
from scrn_jax.features.vgg import VGG
from scrn_jax.models.discriminator import Discriminator
from scrn_jax.models.scrn import SCRN
from scrn_jax.networks import INPUTS, make_discriminator, make_generator, to_float
from scrn_jax.networks import generate as generate  # also under this name
from scrn_jax.state import TrainState

CORRESPONDENCE_TAP = "conv3_1"
VGG_DEPTHS = {"vgg16": 16, "vgg19": 19}


@dataclasses.dataclass(frozen=True)
class Networks:
    """The modules a step computes with; hashable, so that they can be closed over without being traced."""

    generator: SCRN
    discriminator: Discriminator
    vgg: VGG
    alexnet: AlexNet

    @classmethod
    def from_settings(cls, settings: settings_lib.Settings) -> "Networks":
        """The networks that a config describes."""
        dtype = settings_lib.DTYPES[settings.model.dtype]
        return cls(
            generator=make_generator(settings.model),
            discriminator=make_discriminator(settings.model),
            vgg=VGG(depth=VGG_DEPTHS[settings.features.correspondence], taps=(CORRESPONDENCE_TAP,), dtype=dtype),
            alexnet=AlexNet(dtype=dtype),
        )


def prepare(batch: Mapping[str, jax.Array], regions: int) -> dict[str, jax.Array]:
    """A batch as it crossed the bus (uint8 and joints) to what the networks take."""
    return {
        **batch,
        "source_image": to_float(batch["source_image"]),
        "target_image": to_float(batch["target_image"]),
        "target_parsing": jax.nn.one_hot(batch["target_parsing"], regions),
    }


def target_features(networks: Networks, frozen, target_image, weights: losses.LossWeights):
    """The frozen networks' view of the target, computed once a step: ({tap: array} of VGG, of AlexNet)."""
    vgg = networks.vgg.apply({"params": frozen["vgg"]}, target_image) if weights.cor else {}
    alexnet = networks.alexnet.apply({"params": frozen["alexnet"]}, target_image) if weights.per else {}
    return vgg, alexnet


def generator_terms(networks: Networks, frozen, outputs, batch, fake_logits, settings: settings_lib.Settings):
    """The raw terms of Eq. 4 by name, those with weight 0 left out."""
    weights, adversarial = settings.loss, settings.adversarial
    vgg, alexnet = target_features(networks, frozen, batch["target_image"], weights)
    image, target = outputs["image"], batch["target_image"]
    terms = {
        "cor": lambda: losses.correspondence(outputs["features"], vgg[CORRESPONDENCE_TAP]),
        "l1": lambda: losses.l1(image, outputs["coarse_image"], target),
        "adv": lambda: sum(losses.adversarial_generator(logits, adversarial) for logits in fake_logits),
        "per": lambda: losses.perceptual(networks.alexnet.apply({"params": frozen["alexnet"]}, image), alexnet),
        "par": lambda: losses.parsing(outputs["parsing"], batch["target_parsing"], settings.parsing),
        "face": lambda: losses.face(image, target, batch["face_box"]),
    }
    return {name: term() for name, term in terms.items() if getattr(weights, name)}


def mean_over_parts(gradients, parts: int, state: TrainState, frozen, batch):
    """`gradients(state, frozen, batch)` with its second result averaged over `parts` equal parts of the batch.

    The first result does not depend on the batch. Part i holds every `parts`-th sample from i, so that each device
    finds its share of every part in its share of the batch. Means of per-sample means are the whole batch's; the face
    loss, which averages over the samples with a face, is then the mean of the parts' means.
    """
    if parts == 1:
        return gradients(state, frozen, batch)
    batches = jax.tree.map(lambda x: x.reshape(-1, parts, *x.shape[1:]).swapaxes(0, 1), batch)
    first = jax.tree.map(lambda x: x[0], batches)
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(gradients, state, frozen, first))

    def add(carried, part):
        constant, means = gradients(state, frozen, part)
        return (constant, jax.tree.map(lambda total, mean: total + mean / parts, carried[1], means)), None

    return jax.lax.scan(add, zeros, batches)[0]


def attention_gammas(generator_params) -> dict[str, jax.Array]:
    """How strong each Coarse Block's criss-cross attention is, by its metric's name; 0 at the start."""
    blocks = {name: part for name, part in generator_params["coarse_generator"].items() if name.startswith("block_")}
    return {f"attention_gamma/{name}": part["CrissCrossAttention_0"]["gamma"] for name, part in blocks.items()}


def _finite_or(new, old, finite):
    return jax.tree.map(lambda n, o: jnp.where(finite, n, o), new, old)


def _update(optimizer, gradient, optimizer_state, params, learning_rate):
    direction, optimizer_state = optimizer.update(gradient, optimizer_state, params)
    return optax.apply_updates(params, jax.tree.map(lambda d: -learning_rate * d, direction)), optimizer_state


def make_train_step(settings: settings_lib.Settings):
    """Build step(state, frozen, batch) -> (state, metrics), pure and ready for `jax.jit` with the state donated.

    `frozen` is {"vgg": params, "alexnet": params}, an argument so that its 60 MB do not become constants.
    Metrics are float32 scalars: `loss/*` raw terms, `weighted/*` times their weights, gradient norms, D's accuracy,
    and every Coarse Block's attention gamma. With `train.accumulate` above 1 the batch is worked on in so many parts.
    """
    networks = Networks.from_settings(settings)
    weights, optim = settings.loss, settings.optim
    weighted = [field.name for field in dataclasses.fields(weights) if getattr(weights, field.name)]
    optimizer = state_lib.make_optimizer(optim)
    schedule = optax.linear_schedule(optim.learning_rate, 0.0, settings.train.steps)

    def discriminate(params, spectral, batch, outputs):
        """Logits of (real, I_g, I_crs) from one call, and the moved spectral statistics."""
        images = jnp.concatenate([batch["target_image"], outputs["image"], outputs["coarse_image"]])
        logits, updates = networks.discriminator.apply(
            {"params": params, "spectral": spectral}, images, update_stats=True, mutable=["spectral"]
        )
        return jnp.split(logits, 3), updates["spectral"]

    def generator_loss(params, state, frozen, batch):
        outputs = networks.generator.apply({"params": params}, **{key: batch[key] for key in INPUTS})
        (_, *fakes), _ = discriminate(state.discriminator, state.spectral, batch, outputs)
        terms = generator_terms(networks, frozen, outputs, batch, fakes, settings)
        return sum(getattr(weights, name) * value for name, value in terms.items()), (terms, outputs)

    def discriminator_loss(params, state, batch, outputs):
        (real, *fakes), spectral = discriminate(params, state.spectral, batch, outputs)
        pairs = [losses.adversarial_discriminator(real, fake, settings.adversarial) for fake in fakes]
        loss = pairs[0][0] + sum(on_fake for _, on_fake in pairs)
        accuracy = {"real": jnp.mean(real > 0), "fake": jnp.mean(jnp.concatenate(fakes) < 0)}
        return loss, (spectral, accuracy)

    def gradients(state: TrainState, frozen, batch) -> tuple[Any, dict[str, Any]]:
        """D's moved spectral statistics, and what is a mean over the batch: gradients, losses, accuracies."""
        batch = prepare(batch, networks.generator.regions)
        (g_loss, (terms, outputs)), g_gradient = jax.value_and_grad(generator_loss, has_aux=True)(
            state.generator, state, frozen, batch
        )
        # The images are constants to D. Its forward pass here equals the one above, so XLA runs it once.
        (d_loss, (spectral, accuracy)), d_gradient = jax.value_and_grad(discriminator_loss, has_aux=True)(
            state.discriminator, state, batch, jax.lax.stop_gradient(outputs)
        )
        return spectral, {
            "generator": g_gradient,
            "discriminator": d_gradient,
            "losses": {**terms, "generator": g_loss, "discriminator": d_loss},
            "accuracy": accuracy,
        }

    def step(state: TrainState, frozen, batch) -> tuple[TrainState, dict[str, Any]]:
        spectral, means = mean_over_parts(gradients, settings.train.accumulate, state, frozen, batch)
        g_gradient, d_gradient = means["generator"], means["discriminator"]
        g_loss, d_loss = means["losses"]["generator"], means["losses"]["discriminator"]
        g_norm, d_norm = optax.tree.norm(g_gradient), optax.tree.norm(d_gradient)
        finite = jnp.isfinite(g_loss) & jnp.isfinite(d_loss) & jnp.isfinite(g_norm) & jnp.isfinite(d_norm)

        rate = schedule(state.step)
        generator, g_optimizer = _update(optimizer, g_gradient, state.generator_optimizer, state.generator, rate)
        discriminator, d_optimizer = _update(
            optimizer, d_gradient, state.discriminator_optimizer, state.discriminator, rate * optim.discriminator_ratio
        )
        # Short at first, so that the average forgets the random start.
        decay = jnp.minimum(optim.ema_decay, (1.0 + state.step) / (10.0 + state.step))
        ema = jax.tree.map(lambda average, new: decay * average + (1 - decay) * new, state.ema, generator)
        moved = state.replace(
            generator=generator,
            discriminator=discriminator,
            spectral=spectral,
            generator_optimizer=g_optimizer,
            discriminator_optimizer=d_optimizer,
            ema=ema,
            skipped_in_row=jnp.zeros_like(state.skipped_in_row),
        )
        stayed = state.replace(skipped=state.skipped + 1, skipped_in_row=state.skipped_in_row + 1)
        state = _finite_or(moved, stayed, finite).replace(step=state.step + 1)
        metrics = {
            **{f"loss/{name}": value for name, value in means["losses"].items()},
            **{f"weighted/{name}": getattr(weights, name) * means["losses"][name] for name in weighted},
            **{f"discriminator_accuracy/{name}": value for name, value in means["accuracy"].items()},
            "gradient_norm/generator": g_norm,
            "gradient_norm/discriminator": d_norm,
            "learning_rate": rate,
            "skipped": state.skipped.astype(jnp.float32),
            "skipped_in_row": state.skipped_in_row.astype(jnp.float32),
            **attention_gammas(state.generator),
        }
        return state, metrics

    return step
