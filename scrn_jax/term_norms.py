"""Which loss term drives the generator: the norm of each weighted term's own gradient, a program beside the step."""

import jax
import jax.numpy as jnp
import optax

from scrn_jax import settings as settings_lib
from scrn_jax import staging, train_step
from scrn_jax.models.ops import convolutions
from scrn_jax.models.scrn import objective


def make_term_gradient(settings: settings_lib.Settings, gather=lambda state: state):
    """Build gradient(shares, state, frozen, batch): of the sum of weight * share * term, by G's parameters.

    `shares` is a vector, an entry for each of `objective.term_weights`; ones give the training step's own gradient.
    The batch is worked on in `train.accumulate` parts, and `gather` used, as in the step.
    """
    networks = objective.Networks.from_settings(settings)

    def gradient(shares, state, frozen, batch):
        def loss(params, state, frozen, batch):
            terms, _ = objective.generate_and_judge(networks, settings, params, state, frozen, batch)
            parts = zip(shares, staging.weights_at(settings, state.step).items(), strict=True)
            return sum(share * weight * terms[name] for share, (name, weight) in parts)

        def of_part(state, frozen, batch):
            prepared = objective.prepare(batch, networks.generator.regions)
            return jnp.zeros(()), jax.grad(loss)(state.generator, state, frozen, prepared)

        with convolutions.computed(settings.model.convolutions):
            return train_step.mean_over_parts(of_part, settings.train.accumulate, gather(state), frozen, batch)[1]

    return gradient


def make_term_norms(settings: settings_lib.Settings, gather=lambda state: state):
    """Build norms(state, frozen, batch) -> {"gradient_norm/terms/NAME": float32 scalar}, pure and ready for `jax.jit`.

    Norms over all of G's parameters, before any clipping; a term of weight 0 has none. One term after the other is
    worked on, so that it needs the memory of one step and, for six terms, the time of about six.
    """
    gradient, names = make_term_gradient(settings, gather), list(objective.term_weights(settings))

    def norms(state, frozen, batch):
        each = jax.lax.map(lambda shares: optax.tree.norm(gradient(shares, state, frozen, batch)), jnp.eye(len(names)))
        return {f"gradient_norm/terms/{name}": norm for name, norm in zip(names, each, strict=True)}

    return norms
