"""Takes the picture of the page in the README, docs/images/page.png, with the page's example person in another pose.

    python tools/photograph_page.py                       # --model DIR, --pose walking

Needs the extra `web`, selenium, and chromium with its driver.
"""

import argparse
import base64
import shutil
import socket
import threading
import time
from pathlib import Path

import uvicorn
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from scrn_jax.inference import poses
from scrn_jax.inference.page import web
from scrn_jax.inference.photo import PhotoTransfer
from scrn_jax.runtime import devices

OUTPUT = Path(__file__).parents[1] / "docs/images/page.png"
WIDTH, HEIGHT = 1180, 1000
PATIENCE = 600


def main() -> None:
    """Serve, visit, choose the pose, and take the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="an exported model; the package's own by default")
    parser.add_argument("--pose", default="walking-left", choices=poses.names())
    parser.add_argument("--output", type=Path, default=OUTPUT)
    args = parser.parse_args()
    devices.keep_programs(devices.AUTO, least_seconds=0.3)
    app = web.make_app(PhotoTransfer.load(args.model))
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True).start()
    browser = _browser()
    try:
        visit(browser, f"http://127.0.0.1:{listener.getsockname()[1]}/", args.pose)
        taken = browser.execute_cdp_cmd("Page.captureScreenshot", {"format": "png", "captureBeyondViewport": True})
        args.output.write_bytes(base64.b64decode(taken["data"]))
    finally:
        browser.quit()
        server.should_exit = True


def visit(browser, address: str, pose: str) -> None:
    """The page with the example's person in a pose of the gallery. Prints how long the page took."""
    started = time.monotonic()
    browser.get(address)
    _until(browser, lambda: browser.execute_script("return document.body.dataset.ready") == "yes")
    print(f"ready after {time.monotonic() - started:.1f} s")
    browser.find_element(By.ID, "example").click()
    _until(browser, lambda: _painted(browser) > 0)
    button = browser.find_elements(By.CSS_SELECTOR, "#gallery button")[poses.names().index(pose)]
    browser.execute_script("arguments[0].parentNode.scrollLeft = arguments[0].offsetLeft - 400", button)
    before = _painted(browser)
    button.click()
    _until(browser, lambda: _painted(browser) > before)
    print(f"painted in {browser.find_element(By.ID, 'took').text}")
    time.sleep(0.5)


def _painted(browser) -> int:
    return int(browser.execute_script("return document.getElementById('result').dataset.painted || 0"))


def _until(browser, condition) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if problem := browser.find_element(By.ID, "problem").text:
            raise SystemExit(f"error: the page says: {problem}")
        if time.monotonic() > deadline:
            raise TimeoutError("the page does not answer")
        time.sleep(0.1)


def _browser():
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome")
    flags = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars")
    for flag in (*flags, f"--window-size={WIDTH},{HEIGHT}"):
        options.add_argument(flag)
    return webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))


if __name__ == "__main__":
    main()
