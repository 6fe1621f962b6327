"""The page in a real browser: a wrist is dragged, a region painted, a picture saved, and nothing leaves the machine.

Skipped without chromium and its driver. GitHub's workflow has a job of its own for it; else it runs at night.
"""

import base64
import json
import os
import shutil
import socket
import threading
import time

import jax
import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.slow
selenium = pytest.importorskip("selenium")
uvicorn = pytest.importorskip("uvicorn")
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
if not (BROWSER and DRIVER):
    assert "BROWSER_NEEDED" not in os.environ, "the browser's own job must not skip its test"
    pytest.skip("no chromium with its driver", allow_module_level=True)

from selenium import webdriver  # noqa: E402
from selenium.webdriver import ActionChains, Keys  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402

from scrn_jax.errors import UserError  # noqa: E402
from scrn_jax.inference.finding.estimators import Person  # noqa: E402
from scrn_jax.inference.page import web  # noqa: E402
from scrn_jax.inference.photo import PhotoTransfer, encode_png  # noqa: E402
from scrn_jax.inference.transfer import PoseTransfer  # noqa: E402
from scrn_jax.person.face import face_box_from_joints  # noqa: E402

BUST = 96  # rows of the photo's upper half, which shows no legs
PATIENCE = 300  # seconds, on a busy machine that compiles the first picture


@pytest.fixture(scope="module")
def address(model_folder, view):
    """The page of the tiny model, served; its estimator knows the one photo and its upper half, and nobody else."""

    def estimate(photo):
        rows = photo.shape[0]
        if photo.shape[1:] != view.image.shape[1:] or rows not in (256, BUST):
            raise UserError("nobody is found in the picture")
        labels, joints = view.labels[:rows], np.where(view.joints[:, :1] < rows, view.joints, -1)
        return Person(joints, (labels > 0).astype(np.float32), labels, face_box_from_joints(joints, *labels.shape))

    transfer = PhotoTransfer(PoseTransfer.load(model_folder, devices=jax.devices()[:1]), estimate)
    limits = web.Limits(answer_seconds=PATIENCE)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(web.make_app(transfer, warm=False, limits=limits), log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="module")
def downloads(tmp_path_factory):
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def browser(downloads):
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    flags = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1200,1500")
    for flag in (*flags, "--disable-background-networking", "--disable-component-update"):
        options.add_argument(flag)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.set_script_timeout(PATIENCE)
    yield driver
    driver.quit()


def _until(condition, what):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"never happened: {what}")


class Page:
    """What a test does with the page."""

    def __init__(self, browser, address):
        self.browser = browser
        browser.get(address)
        _until(lambda: browser.execute_script("return document.body.dataset.ready") == "yes", "ready")

    def get(self, selector):
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def joint(self, stage, name):
        return self.get(f"#{stage} .joint[data-joint='{name}']")

    def painted(self) -> int:
        return int(self.browser.execute_script("return document.getElementById('result').dataset.painted || 0"))

    def after_repaint(self, action) -> str:
        """The picture, as data, once `action` has led to a new one."""
        before = self.painted()
        action()
        _until(lambda: self.painted() > before, "a new picture")
        _until(lambda: "busy" not in self.get("#result").get_attribute("class"), "quiet")
        return self.picture()

    def picture(self) -> str:
        return self.browser.execute_async_script(
            "const done = arguments[0], image = document.getElementById('picture');"
            "image.decode().then(() => { const c = document.createElement('canvas');"
            "c.width = image.naturalWidth; c.height = image.naturalHeight;"
            "c.getContext('2d').drawImage(image, 0, 0); done(c.toDataURL()); });"
        )


@pytest.fixture(scope="module")
def page(browser, address, photo_of_view):
    page = Page(browser, address)
    page.after_repaint(lambda: page.get("#file").send_keys(photo_of_view))
    return page


@pytest.fixture(scope="module")
def photo_of_view(view, tmp_path_factory):
    return _photo(tmp_path_factory.mktemp("photos") / "me.png", view.image)


def _photo(path, pixels) -> str:
    Image.fromarray(pixels).save(path)
    return str(path)


def test_a_dragged_wrist_changes_the_picture_at_once(page):
    before, wrist = page.picture(), page.joint("target", "right wrist")
    place = wrist.rect
    drag = ActionChains(page.browser).move_to_element(wrist).click_and_hold().move_by_offset(-20, -90).release()
    assert page.after_repaint(drag.perform) != before
    assert wrist.rect["y"] < place["y"] - 60
    assert page.browser.switch_to.active_element.accessible_name.startswith("right wrist of the pose")


def test_keys_go_from_joint_to_joint_and_move_the_one_that_has_the_focus(page):
    page.joint("target", "right knee").click()
    handle = page.browser.switch_to.active_element
    for _ in range(3):
        handle.send_keys("n")
    assert handle.accessible_name.startswith("left knee of the pose")
    before, place = page.picture(), page.joint("target", "left knee").rect["x"]
    after = page.after_repaint(lambda: handle.send_keys(Keys.SHIFT, Keys.ARROW_RIGHT))
    assert after != before and page.joint("target", "left knee").rect["x"] > place + 5
    assert page.browser.switch_to.active_element == handle and "left knee" in page.get("#status").text
    handle.send_keys("p")
    assert handle.accessible_name.startswith("left hip of the pose")


def test_with_room_around_the_person_is_smaller_and_the_pose_chosen_stays(page):
    page.after_repaint(lambda: page.get("#gallery button:nth-child(2)").click())
    place = page.joint("source", "neck").rect["y"]
    page.after_repaint(lambda: page.get("#room option:nth-child(2)").click())
    assert page.joint("source", "neck").rect["y"] > place + 5
    assert page.get("#gallery button:nth-child(2)").get_attribute("aria-pressed") == "true"
    page.after_repaint(lambda: page.get("#room option:nth-child(1)").click())
    assert page.joint("source", "neck").rect["y"] == pytest.approx(place, abs=1)
    page.after_repaint(lambda: page.get("#reset").click())


def test_a_dragged_pose_stays_with_the_person_when_the_frame_gets_more_room(page):
    def raised():
        """How far the wrist is above the shoulder, in lengths of the upper arm."""
        y = {name: page.joint("target", f"right {name}").rect["y"] for name in ("wrist", "shoulder", "elbow")}
        return (y["shoulder"] - y["wrist"]) / abs(y["elbow"] - y["shoulder"])

    wrist = page.joint("target", "right wrist")
    drag = ActionChains(page.browser).move_to_element(wrist).click_and_hold().move_by_offset(-10, -60).release()
    page.after_repaint(drag.perform)
    page.get("#film-name option:last-child").click()
    page.get("#add-key").click()
    before = raised()
    page.after_repaint(lambda: page.get("#room option:nth-child(2)").click())
    assert raised() == pytest.approx(before, abs=0.15)
    assert page.get("#key-count").text.startswith("1 pose")
    page.after_repaint(lambda: page.get("#room option:nth-child(1)").click())
    page.get("#clear-keys").click()
    page.get("#film-name option:first-child").click()
    page.after_repaint(page.get("#reset").click)


def test_why_a_pose_is_not_kept_is_said(page):
    page.after_repaint(page.get("#mirror").click)
    page.browser.execute_script(
        "const whole = window.fetch; window.fetch = (...given) => {"
        "  if (!String(given[0]).includes('fit')) return whole(...given);"
        "  window.fetch = whole; return Promise.resolve(Response.json({ error: 'too few' }, { status: 400 })); };"
    )
    page.after_repaint(lambda: page.get("#room option:nth-child(2)").click())
    assert "the pose is not kept: too few" in page.get("#notes").text
    page.after_repaint(lambda: page.get("#room option:nth-child(1)").click())
    assert "not kept" not in page.get("#notes").text


def test_a_joint_can_be_removed_and_added_again(page):
    page.joint("target", "left wrist").click()
    page.after_repaint(lambda: page.browser.switch_to.active_element.send_keys(Keys.DELETE))
    assert not page.browser.find_elements(By.CSS_SELECTOR, "#target .joint[data-joint='left wrist']")
    choice = page.get("#target-missing")
    option = next(o for o in choice.find_elements(By.TAG_NAME, "option") if o.text == "left wrist")
    page.after_repaint(option.click)
    assert page.joint("target", "left wrist").is_displayed()


def test_a_mended_joint_of_the_photo_changes_the_picture(page):
    before, elbow = page.picture(), page.joint("source", "left elbow")
    drag = ActionChains(page.browser).move_to_element(elbow).click_and_hold().move_by_offset(30, 40).release()
    assert page.after_repaint(drag.perform) != before


def test_a_painted_region_changes_the_picture_and_can_be_undone(page):
    before = page.picture()
    page.get("#edit-regions").click()
    page.get("#swatches .swatch:nth-child(5)").click()
    canvas = page.get("#source canvas")
    stroke = ActionChains(page.browser).move_to_element(canvas).click_and_hold().move_by_offset(0, -80)
    painted = page.after_repaint(stroke.release().perform)
    assert painted != before
    assert page.after_repaint(page.get("#undo").click) == before
    with_keys = page.after_repaint(lambda: canvas.send_keys(20 * Keys.ARROW_UP, " "))
    assert with_keys != before
    page.after_repaint(page.get("#undo").click)
    page.get("#edit-joints").click()


def test_a_pose_of_the_gallery_is_taken_until_there_is_another(page):
    before = page.picture()
    button = page.get("#gallery button:nth-child(6)")
    assert page.after_repaint(button.click) != before
    assert button.get_attribute("aria-pressed") == "true"
    page.after_repaint(page.get("#reset").click)
    assert button.get_attribute("aria-pressed") == "false"


def _downloaded(downloads, name):
    path = downloads / name
    _until(lambda: path.exists() and path.stat().st_size, name)
    return path


def test_picture_pose_and_film_are_saved(page, downloads):
    page.get("#save-picture").click()
    with Image.open(_downloaded(downloads, "picture.png")) as image:
        assert image.size == (4 * 44, 4 * 64)
    page.get("#save-pose").click()
    pose = json.loads(_downloaded(downloads, "pose_keypoints.json").read_text())
    assert len(pose["people"][0]["pose_keypoints_2d"]) == 54
    frames = page.get("#film-frames")
    frames.clear()
    frames.send_keys("4")
    page.get("#make-film").click()
    _until(lambda: page.get("#save-film").is_enabled(), "a film")
    page.get("#save-film").click()
    with Image.open(_downloaded(downloads, "walk.webp")) as film:
        assert film.n_frames == 4


def test_of_a_region_that_the_person_does_not_show_nothing_is_taken(page, view, photo_of_view, tmp_path):
    def regions():
        return [label.text.split("\n")[0] for label in page.browser.find_elements(By.CSS_SELECTOR, "#sliders label")]

    page.get("#style-file").send_keys(photo_of_view)
    _until(regions, "sliders")
    whole = regions()
    page.after_repaint(lambda: page.get("#sliders label:last-child input").send_keys(Keys.END))
    page.after_repaint(lambda: page.get("#file").send_keys(_photo(tmp_path / "bust.png", view.image[:BUST])))
    assert regions() == whole[: len(regions())] != whole
    page.after_repaint(lambda: page.get("#file").send_keys(photo_of_view))
    assert regions() == whole and page.get("#sliders label:last-child output").text == "0 %"
    page.after_repaint(page.get("#drop-style").click)


def test_a_photo_of_nobody_leaves_the_person_who_is_shown_and_its_room(page, view, tmp_path):
    page.after_repaint(lambda: page.get("#room option:nth-child(2)").click())
    place = page.joint("source", "neck").rect["y"]
    page.get("#file").send_keys(_photo(tmp_path / "nobody.png", view.image[:50]))
    _until(page.get("#problem").is_displayed, "the error")
    assert "nobody is found" in page.get("#problem").text
    assert page.get("#room").get_property("value") == "1.4"
    page.after_repaint(lambda: page.get("#room option:nth-child(1)").click())
    assert page.joint("source", "neck").rect["y"] < place - 5 and not page.get("#problem").is_displayed()


def test_a_photo_dropped_on_the_clothes_is_that_of_the_clothes(page, view):
    before = page.painted()
    page.browser.execute_script(
        "const bytes = Uint8Array.from(atob(arguments[0]), (letter) => letter.charCodeAt(0));"
        "const dataTransfer = new DataTransfer();"
        "dataTransfer.items.add(new File([bytes], 'me.png', { type: 'image/png' }));"
        "document.getElementById('style-title').dispatchEvent(new DragEvent('drop', { bubbles: true, dataTransfer }));",
        base64.b64encode(encode_png(view.image)).decode(),
    )
    _until(page.get("#style-thumb").is_displayed, "the other person")
    assert page.painted() == before
    page.after_repaint(page.get("#drop-style").click)


def test_an_error_is_seen_from_wherever_it_comes(page):
    page.browser.set_window_size(1200, 700)
    speed = page.get("#film-fps")
    speed.send_keys(Keys.CONTROL + "a", Keys.DELETE)
    page.get("#make-film").click()
    problem = page.get("#problem")
    _until(problem.is_displayed, "the error")
    assert "0 pictures a second" in problem.text
    assert page.browser.execute_script("return scrollY") > 0
    assert page.browser.execute_script("return arguments[0].getBoundingClientRect().top", problem) >= 0
    speed.send_keys("12")
    page.browser.set_window_size(1200, 1500)


def test_a_bad_photo_is_said_on_the_page_as_on_the_command_line(page, tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_text("no picture")
    page.get("#file").send_keys(str(bad))
    problem = page.get("#problem")
    _until(problem.is_displayed, "the error")
    found = "neither a JPEG nor a PNG (10 bytes), nor WebP, TIFF or BMP"
    assert problem.text == f"the photo: {found}; save the image as one of them"


def test_nothing_was_asked_of_another_machine_and_no_script_failed(page, address):
    asked = set()
    for entry in page.browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent" and message["params"].get("documentURL", "").startswith(
            address
        ):
            asked.add(message["params"]["request"]["url"])
    assert f"{address}api/paint" in asked
    assert not [url for url in asked if not url.startswith((address, "blob:", "data:"))]
    failures = [entry for entry in page.browser.get_log("browser") if "400 (Bad Request)" not in entry["message"]]
    assert not [entry for entry in failures if entry["level"] == "SEVERE"]


def test_on_a_phone_nothing_is_cut_off_at_the_side(page):
    metrics = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    assert page.browser.execute_script("return document.documentElement.scrollWidth") <= 360
    page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
