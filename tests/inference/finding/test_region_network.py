"""The region network: what it sees, what is made of its logits, and how good the one that ships is."""

import jax.numpy as jnp
import numpy as np
import pytest

from scrn_jax.errors import UserError
from scrn_jax.inference import packing
from scrn_jax.inference.finding import garments, region_network
from scrn_jax.inference.finding.framing import Window
from scrn_jax.inference.finding.region_network import RegionNetwork


def test_a_part_is_near_along_the_line_between_its_joints():
    joints = np.full((1, 18, 2), -1, np.float32)
    joints[0, 2], joints[0, 3] = [20, 30], [60, 30]  # right upper arm
    seen = np.asarray(region_network.inputs(jnp.zeros((1, 128, 88, 3)), jnp.zeros((1, 128, 88)), joints))
    arm = seen[0, ..., 4 + 10 + 2]
    assert seen.shape[-1] == region_network.CHANNELS
    # The spread is 6 pixels at 256 rows: 3 here.
    assert arm[40, 30] == pytest.approx(1) and arm[40, 36] == pytest.approx(np.exp(-(6**2) / (2 * 3**2)), rel=1e-4)
    assert arm[69, 30] == pytest.approx(np.exp(-(9**2) / 18), rel=1e-4)
    assert not seen[0, ..., 4 + 10 + 3].any()  # no wrist, no forearm


def test_left_and_right_share_a_map():
    def seen(joint):
        joints = np.full((1, 18, 2), -1, np.float32)
        joints[0, joint] = [50, 40]
        return np.asarray(region_network.inputs(jnp.zeros((1, 128, 88, 3)), jnp.zeros((1, 128, 88)), joints))

    np.testing.assert_array_equal(seen(4), seen(7))
    assert np.abs(seen(4) - seen(3)).max() > 0.5


def test_logits_go_back_to_the_photo_as_the_likeliest_region_of_whoever_is_there():
    logits = np.full((128, 88, 8), -20.0)
    logits[..., 0] = 0
    logits[32:96, 22:66, 2] = 5
    first = np.zeros((300, 400), np.float32)
    first[10:266, 20:196] = 1
    photo = np.full((300, 400, 3), 200, np.uint8)
    photo[74:202, 64:152] = 50  # somebody dark; their outline is the photo's edge
    expected = np.zeros((300, 400), bool)
    expected[10 + 64 : 10 + 192, 20 + 44 : 20 + 132] = True
    person = 0.45 * first + 0.5 * expected
    mask, labels = region_network.paint_back(logits, Window(10.0, 20.0, 256.0, 176.0), person, photo)
    assert ((labels == 2) != expected).mean() < 0.005 and set(np.unique(labels)) == {0, 2}
    np.testing.assert_array_equal(mask > 0.5, labels > 0)


@pytest.mark.parametrize(("region", "width", "there"), [(6, 1, False), (6, 4, True), (7, 1, False), (5, 1, True)])
def test_a_crumb_of_skin_is_what_it_lies_in(region, width, there):
    """On 8 rows of clothes: 8 of 4,096 pixels are a mistake at an outline, 32 of them a hand, 8 of a face an ear."""
    logits = np.full((128, 88, 8), -20.0)
    logits[32:96, 12:76, 2] = 5
    logits[50:58, 40 : 40 + width, region] = 10
    person = np.zeros((128, 88), np.float32)
    person[32:96, 12:76] = 1
    photo = np.repeat((200 - 150 * person)[..., None], 3, -1).astype(np.uint8)
    photo[50:58, 40 : 40 + width] = 255
    _, labels = region_network.paint_back(logits, Window(0.0, 0.0, 128.0, 88.0), person, photo)
    assert set(np.unique(labels)) == {0, 2, *([region] if there else [])}


def test_where_the_person_is_takes_a_second_look_with_the_mask_of_the_first(monkeypatch):
    """Of a dark square in an even photo the first mask knows the left half; the network half of the rest, then all."""
    photo, square = np.full((128, 88, 3), 200, np.uint8), (slice(32, 96), slice(12, 76))
    photo[square] = 50
    first = np.zeros((128, 88), np.float32)
    first[32:96, 12:44] = 1
    given = []

    def look(_, joints, mask):
        given.append(mask)
        logits = np.zeros((128, 88, 8), np.float32)
        logits[..., 0], logits[32:96, 12 : 60 if len(given) == 1 else 76, 2] = 5, 10
        return Window(0.0, 0.0, 128.0, 88.0), (photo, logits, joints)

    network = RegionNetwork(None)
    monkeypatch.setattr(network, "_look", look)
    mask, _ = network(photo, JOINTS, first)
    np.testing.assert_array_equal(given[0], first)
    assert given[1][64, 55] > 0.7 and given[1][64, 72] < 0.3
    # What the second look alone sees is in doubt, and the photo's edge is where it was.
    assert mask[64, 55] > 0.6 and 0.3 < mask[64, 72] < 0.7 and mask[64, 80] < 0.05


def test_parameters_survive_packing_in_half_precision():
    shapes = {"a": {"kernel": np.zeros((2, 3)), "bias": np.zeros(3)}}
    params = {"a": {"kernel": np.arange(6.0).reshape(2, 3), "bias": np.full(3, 1 / 3)}}
    unpacked = packing.unpack(packing.pack(params), shapes)
    np.testing.assert_array_equal(unpacked["a"]["kernel"], params["a"]["kernel"])
    assert unpacked["a"]["bias"].dtype == np.float32 and unpacked["a"]["bias"][0] == np.float16(1 / 3)


def test_parameters_of_another_network_are_refused():
    data = packing.pack({"a": np.zeros((2, 3))})
    with pytest.raises(ValueError, match="has the shape"):
        packing.unpack(data, {"a": np.zeros((3, 2))})
    with pytest.raises(ValueError, match="other parameters"):
        packing.unpack(data, {"b": np.zeros((2, 3))})


def test_a_small_file_that_unpacks_to_more_than_parameters_is_refused(monkeypatch):
    monkeypatch.setattr(packing, "_MOST_BYTES", 1 << 16)
    data = packing.pack({"a": np.zeros(1 << 16)})
    assert len(data) < 1 << 10
    with pytest.raises(ValueError, match="unpacks to 131,200 bytes, at most 65,536 are read"):
        packing.unpack(data)


def test_a_damaged_file_of_weights_is_one_line(monkeypatch, tmp_path):
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "regions.npz").write_bytes(b"nothing")
    monkeypatch.setattr(region_network.resources, "files", lambda _: tmp_path)
    with pytest.raises(UserError, match=r"regions\.npz: .*install scrn_jax anew"):
        RegionNetwork.load()


DARK, RED = [0.1, 0.1, 0.1], [0.8, 0.2, 0.2]
DRESS, UPPER, PANTS = garments.DRESS, garments.UPPER, garments.PANTS
# Somebody upright, of whom the cues need the neck and the hips only.
JOINTS = np.full((18, 2), -1, np.float32)
JOINTS[1], JOINTS[8], JOINTS[11] = [24, 44], [56, 38], [56, 50]


def _clothed(above, below):
    """(picture in [-1, 1], logits that lean to no garment) of cloth in two colours, in [0, 1], split at the hips."""
    image = np.ones((128, 88, 3), np.float32)
    image[24:56, 30:58], image[56:100, 30:58] = 2 * np.float32(above) - 1, 2 * np.float32(below) - 1
    logits = np.full((128, 88, 8), -9.0, np.float32)
    logits[..., 0] = 0
    logits[24:100, 30:58, [UPPER, DRESS, PANTS]] = 4
    return image, logits


@pytest.mark.parametrize(
    ("above", "below", "distance"),
    [
        ((DARK, DARK), (DARK, DARK), 0.0),
        ((DARK, RED), (RED, DARK), 0.0),  # one print, whatever lies where
        ((DARK, RED), (RED, RED), -np.log(np.sqrt(0.5))),  # half of what is above is below, too
    ],
)
def test_cloth_is_compared_by_the_bhattacharyya_distance_of_its_colours(above, below, distance):
    image, logits = _clothed(above[0], below[0])
    image[24:56, 44:58], image[56:100, 44:58] = 2 * np.float32(above[1]) - 1, 2 * np.float32(below[1]) - 1
    leaning, apart = garments.dress_cues(image, logits, JOINTS)
    assert leaning == pytest.approx(-np.log(2), abs=0.01)  # a third of the clothes is dress, two are others
    assert apart == pytest.approx(distance, abs=0.03)  # a hundredth of what is beside the cloth counts, too


def test_cloths_without_a_colour_in_common_are_far_apart():
    """Less than five hundredths of likeness, which come from what is beside the cloth."""
    assert garments.dress_cues(*_clothed(DARK, RED), JOINTS)[1] > 3


def test_light_and_shade_move_brightness_alone():
    dark, light = (garments._tones(np.float32([x, x, x])) for x in (-0.9, 0.9))
    np.testing.assert_allclose(dark[1:], light[1:], atol=1e-6)
    assert light[0] - dark[0] > 1


def _sure_of(places):
    """Logits that are sure of a region, 5 above the others, in some rows of a frame, and undecided elsewhere."""
    logits = np.zeros((128, 88, 8), np.float32)
    for region, rows in places.items():
        logits[rows, :, region] = 5
    return logits


def test_a_sleeve_of_the_colour_of_the_cloth_is_no_skin():
    """Rows of hair, face and cloth that are sure; below, in doubt, cloth's colour, skin's and one of nobody's."""
    hair, face, cloth = slice(0, 20), slice(20, 40), slice(40, 60)
    image = np.zeros((128, 88, 3), np.float32)
    image[hair], image[face], image[cloth] = [-0.8] * 3, [0.5, 0.1, -0.1], [-0.6, -0.4, 0.4]
    image[60:80], image[80:100], image[100:] = image[50, 0], image[30, 0], [-0.9, 0.9, -0.9]
    logits = _sure_of({garments.HAIR: hair, garments.FACE: face, UPPER: cloth})
    added = garments.by_colours(image, logits)
    of_cloth, of_skin, of_nobody = (added[row, 0] for row in (70, 90, 110))
    assert of_cloth[UPPER] == of_cloth[DRESS] > 1 and of_cloth[garments.SKIN] < -0.5
    assert of_skin[garments.SKIN] == of_skin[garments.FACE] > 1 and of_skin[UPPER] < -0.5
    np.testing.assert_allclose(of_nobody, 0, atol=0.5)
    # Trousers and legs are not to be seen: nothing is said of them, nor of the background.
    assert not added[..., [0, PANTS, garments.LEG]].any()


@pytest.mark.parametrize(("hem", "leggings"), [(64, False), (90, True)])
def test_pants_under_a_dress_are_worn_below_its_hem_or_are_its_skirt(hem, leggings, monkeypatch):
    """The network calls the lower part of one cloth pants, from the hips on or from below them: only then are they
    somebody's legs."""
    image, logits = _clothed([0.5] * 3, [0.5] * 3)
    logits[24:hem, 30:58, DRESS] += 3
    logits[hem:100, 30:58, PANTS] += 3
    assert garments.wears_leggings(logits, JOINTS) == leggings
    network = RegionNetwork(None, {"kernel": np.zeros(2, np.float32), "bias": np.float32(1)})
    look = (Window(0.0, 0.0, 128.0, 88.0), (image, logits.copy(), JOINTS))
    monkeypatch.setattr(network, "_look", lambda *_: look)
    _, labels = network(((image + 1) * 127.5).astype(np.uint8), JOINTS, (logits[..., UPPER] > 0).astype(np.float32))
    assert (labels[40:60, 40:48] == DRESS).all()
    assert (labels[92:98, 40:48] == (garments.LEG if leggings else DRESS)).all()


def test_without_pixels_to_be_sure_of_colours_say_nothing():
    assert not garments.by_colours(np.zeros((128, 88, 3), np.float32), _sure_of({})).any()


@pytest.mark.parametrize("missing", [[1], [8, 11]], ids=["the neck", "the hips"])
def test_without_neck_or_hips_there_are_no_cues(missing):
    joints = JOINTS.copy()
    joints[missing] = -1
    assert garments.dress_cues(*_clothed([0.5] * 3, [0.5] * 3), joints) is None


@pytest.mark.parametrize(("below", "worn"), [([0.5] * 3, {DRESS}), ([0.1, 0.1, 0.5], {UPPER, PANTS})])
def test_one_cloth_is_a_dress_and_two_are_none_whatever_single_pixels_lean_to(below, worn, monkeypatch):
    image, logits = _clothed([0.5] * 3, below)
    logits[30:50, 40:50, DRESS] += 1  # and in other places to the others
    logits[24:30, 30:58, UPPER] += 1
    logits[60:99, 30:58, PANTS] += 1
    network = RegionNetwork(None, {"kernel": np.float32([0.4, -16]), "bias": np.float32(2.7)})
    window = Window(0.0, 0.0, 128.0, 88.0)
    monkeypatch.setattr(network, "_look", lambda *_: (window, (image, logits, JOINTS)))
    _, labels = network(((image + 1) * 127.5).astype(np.uint8), JOINTS, (logits[..., UPPER] > 0).astype(np.float32))
    assert set(np.unique(labels)) - {0} == worn


def test_the_one_that_ships_never_mixes_a_dress_with_other_garments(view):
    mask = (view.labels > 0).astype(np.float32)
    for image in (view.image, view.image[..., ::-1], 255 - view.image):
        _, labels = RegionNetwork.load()(np.ascontiguousarray(image), view.joints, mask)
        assert not ((labels == DRESS).any() and np.isin(labels, [UPPER, PANTS]).any())
