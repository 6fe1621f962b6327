"""Where does a training step spend its time?

    python -m benchmarks.parts

Times every part alone on inputs of the right shape: forward, and with the gradient that training takes of it (of
parameters and inputs; of the images only for the frozen networks). The parts do not sum up to the step exactly, because
XLA sees the whole step at once. Prints a table and writes benchmarks/results/parts_PRESET-MACHINE.json.
"""

import argparse
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import machine, timing, workload
from scrn_jax.models import base, upsampling
from scrn_jax.models.scrn import coarse, refine
from scrn_jax.person import body, heatmaps, paint

STEP = "whole step"


def _inputs(settings) -> dict[str, tuple]:
    """The arguments of every part of the generator, random, by the part's name."""
    rng, (height, width), model = np.random.default_rng(0), settings.size, settings.model
    count, channels, grid = settings.train.batch_size, 4 * model.width, (height // 4, width // 4)

    def features(*shape):
        return jnp.asarray(rng.standard_normal((count, *shape)), jnp.float32)

    def poses(people: int):
        pose = rng.uniform(0, height, (count, 18 * people, 2)).astype(np.float32)
        return heatmaps.profiles(pose, height, width)

    def maps(number: int, sides=(height, width)):
        return jax.nn.softmax(features(*sides, number))

    image, on_grid = jnp.tanh(features(height, width, 3)), features(*grid, channels)
    hints, painted = 8 + body.PARTS, 3 + 1  # channels: carried regions and nearness; the picture and its weight
    seen = image if model.paint == "none" else jnp.concatenate([image, features(height, width, painted)], -1)
    return {
        "parsing block": ((*poses(2), maps(8 + hints * model.parsing_hints)),),
        "pose encoder": ((*poses(2), maps(16)),),
        "image encoder": (seen,),
        "coarse block": (features(*grid, 2 * channels), on_grid),
        "decoder": (on_grid,),
        "painting decoder": (on_grid, features(height, width, 8 + painted + 3 + hints), image),
        "RefineArea block": (on_grid, (*poses(1), maps(8))),
        "style encoder": (image, jax.nn.one_hot(maps(8).argmax(-1), 8)),
        "Inject Style block": (on_grid, features(8, channels), maps(8, grid)),
    }


def generator_parts(settings) -> dict[str, tuple[Callable, tuple, int]]:
    """(module, its arguments, how often it is in a generator) by the part's name."""
    model, inputs = settings.model, _inputs(settings)
    width, kind, compute = model.width, model.upsampling, base.compute(model)
    parsing = width, 8, model.parsing_multiples
    detailed, plain = coarse.DetailedParsingBlock(*parsing, compute), coarse.ParsingBlock(*parsing, kind, compute)
    modules = {
        "parsing block": detailed if model.parsing_detail else plain,
        "pose encoder": coarse.Encoder(width, first_conv=coarse.PoseConv, compute=compute),
        "image encoder": coarse.Encoder(width, compute=compute),
        "coarse block": coarse.CoarseBlock(compute),
        "decoder": upsampling.Decoder(width, kind, compute),
        "painting decoder": refine.PaintingDecoder(width, compute),
        "RefineArea block": refine.RefineArea(width, compute),
        "style encoder": refine.StyleEncoder(width, model.style_multiples, kind, model.style_bounded, compute),
        "Inject Style block": refine.InjectStyle(model.style_norm, compute),
    }
    painting = model.paint != "none"
    times = {
        "coarse block": model.blocks, "decoder": 1 if painting else 2, "painting decoder": int(painting),
        "RefineArea block": int(model.refine_area),
    }  # fmt: skip
    return {name: (module, inputs[name], n) for name, module in modules.items() if (n := times.get(name, 1))}


def _random_like(shapes):
    rng = np.random.default_rng(1)
    return jax.tree.map(lambda s: jnp.asarray(0.05 * rng.standard_normal(s.shape), s.dtype), shapes)


def _squares(outputs):
    return sum(jnp.sum(leaf.astype(jnp.float32) ** 2) for leaf in jax.tree.leaves(outputs))


def compiled_parts(settings) -> dict[str, tuple[list[workload.Compiled], tuple, int]]:
    """([forward, with the gradient], arguments, how often a step has it) by the part's name."""
    parts = {}
    for name, (module, inputs, times) in generator_parts(settings).items():
        params = _random_like(jax.eval_shape(lambda m=module, i=inputs: m.init(jax.random.key(0), *i)))

        def forward(params, inputs, module=module):
            return module.apply(params, *inputs)

        def gradient(params, inputs, forward=forward):
            return jax.value_and_grad(lambda *both: _squares(forward(*both)), (0, 1))(params, inputs)

        parts[name] = [workload.Compiled(each, params, inputs) for each in (forward, gradient)], (params, inputs), times
    return {**parts, **_paint(settings), **_judges(settings)}


def _paint(settings) -> dict[str, tuple[list[workload.Compiled], tuple, int]]:
    """Hints and paint, which have no parameters and no gradient; empty where the config asks for neither."""
    model, batch = settings.model, workload.random_batch(settings)
    if model.paint == "none" and not model.parsing_hints:
        return {}
    image = base.to_float(jnp.asarray(batch["source_image"]))
    source, target = (jax.nn.one_hot(batch[f"{side}_parsing"], 8) for side in ("source", "target"))

    def work(image, source, target, *poses):
        parts = body.part_map(*poses, *settings.size)
        hints = paint.carry_labels(source, *parts), body.nearness(parts[1])
        if model.paint == "none":
            return hints
        return hints, paint.Paint.of(image, source, parts, target, **model.paint_options)

    arguments = image, source, target, batch["source_pose"], batch["target_pose"]
    return {"hints and paint": ([workload.Compiled(work, *arguments)], jax.device_put(arguments), 1)}


def _judges(settings) -> dict[str, tuple[list[workload.Compiled], tuple, int]]:
    """The discriminator on three kinds of images, and the frozen networks."""
    judges = base.make(settings).judges
    frozen = jax.device_put(workload.frozen_networks())
    image = jnp.tanh(_random_like(jax.ShapeDtypeStruct((settings.train.batch_size, *settings.size, 3), jnp.float32)))
    images = jnp.concatenate([image] * 3)
    variables = jax.jit(lambda: judges.discriminator.init(jax.random.key(0), image))()

    def judge(variables, images):
        return judges.discriminator.apply(variables, images, mutable=["spectral"])[0]

    def both_gradients(variables, images):
        of_params = jax.grad(lambda p: _squares(judge({**variables, "params": p}, images)))(variables["params"])
        return of_params, jax.grad(lambda x: _squares(judge(variables, x)))(images)

    def of_image(forward):
        return lambda params, image: jax.grad(lambda x: _squares(forward(params, x)))(image)

    def vgg(params, image):
        return judges.vgg.apply({"params": params}, image)

    alexnet = judges.perceive
    return {
        "discriminator (both gradients)": (
            [workload.Compiled(each, variables, images) for each in (judge, both_gradients)], (variables, images), 1),
        "VGG to conv3_1 (target)": ([workload.Compiled(vgg, frozen["vgg"], image)], (frozen["vgg"], image), 1),
        "AlexNet (target)": ([workload.Compiled(alexnet, frozen["alexnet"], image)], (frozen["alexnet"], image), 1),
        "AlexNet (image, gradient)": (
            [workload.Compiled(each, frozen["alexnet"], image) for each in (alexnet, of_image(alexnet))],
            (frozen["alexnet"], image), 1),
    }  # fmt: skip


def measure(settings, repeats: int) -> list[dict]:
    """A row a part: milliseconds, operations and rates; the step itself last."""
    parts = compiled_parts(settings)
    step, whole = workload.Ours(settings, workload.fresh_state(settings), workload.frozen_networks()).training_step()
    sides = {(STEP, 0): step}
    for name, (functions, arguments, _) in parts.items():
        for i, function in enumerate(functions):
            sides[name, i] = lambda call=function.call, a=arguments: jax.block_until_ready(call(*a))
    seconds = {key: sorted(each)[repeats // 2] for key, each in timing.alternate(sides, repeats).items()}
    rows = []
    for name, (functions, _, times) in parts.items():
        total = times * seconds[name, len(functions) - 1]
        rows.append({
            "part": name, "times a step": times, "forward ms": 1e3 * times * seconds[name, 0], "all ms": 1e3 * total,
            "GFLOP": times * functions[-1].gigaflops, "GFLOP/s": times * functions[-1].gigaflops / total,
        })  # fmt: skip
    whole_seconds = seconds[STEP, 0]
    summed = {key: sum(row[key] for row in rows) for key in ("forward ms", "all ms", "GFLOP")}
    rows.append({"part": "sum of the parts", **summed, "GFLOP/s": summed["GFLOP"] / summed["all ms"] * 1e3})
    rows.append({"part": STEP, "all ms": 1e3 * whole_seconds, "GFLOP": whole.gigaflops,
                 "GFLOP/s": whole.gigaflops / whole_seconds})  # fmt: skip
    return rows


def main(arguments=None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags = workload.add_flags(parser, repeats=9).parse_args(arguments)
    settings = workload.from_flags(flags)
    rows = measure(settings, flags.repeats)
    print(f"parts of a training step, {workload.describe(settings)}\n")
    machine.print_table(rows)
    results = {"what": workload.describe(settings), "rounds": flags.repeats, "rows": rows}
    print(f"\n{machine.save(f'parts_{flags.preset}', results)}")


if __name__ == "__main__":
    main()
