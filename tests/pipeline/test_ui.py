"""The web UI as a person meets it: the graph, a table with its picture, a run, in a real browser."""

import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import SURGSIGMA

playwright = pytest.importorskip("playwright.sync_api", reason="needs the test extra's playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs a Chromium: apt-get install chromium"),
]
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip


@pytest.fixture(scope="module")
def address(demo_home: Path) -> Iterator[str]:
    """`surgsigma ui` on the demo home."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = demo_home / "ui.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [SURGSIGMA, "ui", "--home", str(demo_home), "--port", str(port)],
            stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    found = f"http://127.0.0.1:{port}"
    try:
        for _ in range(120):
            try:
                urllib.request.urlopen(f"{found}/server_info", timeout=2)
                break
            except OSError:
                assert process.poll() is None, log.read_text()
                time.sleep(0.5)
        else:
            pytest.fail(log.read_text())
        yield found
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


@pytest.fixture(scope="module")
def page(address: str) -> Iterator["playwright.Page"]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page(viewport={"width": 1500, "height": 1100}, base_url=address)
        page.set_default_timeout(40_000)
        yield page
        browser.close()


def test_the_graph_shows_every_stage(page: "playwright.Page") -> None:
    page.goto("/asset-groups")
    for group in ("ingestion", "frames", "harmonization", "context", "reasoning", "dialogue", "quality", "release"):
        page.get_by_text(group, exact=True).first.wait_for()


def test_a_table_shows_documented_columns_its_rows_and_its_picture(page: "playwright.Page") -> None:
    page.goto("/assets/boxes")
    page.get_by_text("Left edge, pixels").wait_for()
    page.goto("/assets/boxes?view=events")
    sheet = page.locator("tr", has_text="contact_sheet")
    sheet.get_by_text("Show Markdown").click()
    picture = page.locator("img[src^='data:image/jpeg']").first
    picture.wait_for()
    assert picture.evaluate("image => image.naturalWidth") > 600


def test_a_run_of_the_command_line_is_there_and_succeeded(page: "playwright.Page") -> None:
    page.goto("/runs")
    page.get_by_text("rebuild").first.wait_for()
    page.get_by_text("Success").first.wait_for()


def test_a_rule_is_seen_on_the_asset_that_it_speaks_of(page: "playwright.Page") -> None:
    page.goto("/assets/boxes?view=checks")
    page.get_by_text("boxes_inside_image").first.wait_for()
