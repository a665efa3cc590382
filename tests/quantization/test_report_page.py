"""The page of a report in a real Chromium: `make test-report`. Screenshots are left in build/screenshots."""

from __future__ import annotations

import copy
import os

import numpy as np
import pytest
from small_nets import NETS

import serverquant
from serverquant.quantization.report.made import Report

pytestmark = pytest.mark.browser
SCREENSHOTS = NETS.parent / "build" / "screenshots"
SIZES = {"phone": (390, 844), "desktop": (1280, 800)}
FLOAT = NETS / "digits24" / "init_net.pb", NETS / "digits24" / "predict_net.pb"


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium's own wish
    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=os.environ["CHROMIUM"], args=arguments)
        yield started
        started.close()


@pytest.fixture(scope="module")
def reports():
    images = np.load(NETS / "digits24" / "inputs.npz")["data"]
    small = serverquant.quantize(*FLOAT, images[:100], method="p99").report(images, samples=500)
    return {"digits": small, "large": Report(enlarged(small.numbers))}


def enlarged(numbers):
    """The same net eleven times over, under long names, much of it float: as many blobs as large nets have."""
    found = copy.deepcopy(numbers)
    for key in ("operators", "blobs", "weights"):
        found[key] = [
            {**row, "blob": f"gpu_0/res{i}_branch/{row['blob']}_with_a_long_name"}
            for i in range(11)
            for row in copy.deepcopy(numbers[key])
        ]
    found["net"] = "a_net_with_a_long_name_in_one_word" * 3
    found["float"] = {f"gpu_0/stays_float_{i}": "Softmax: Softmax is computed in float" for i in range(30)}
    found["summary"]["worst"] = [row["blob"] for row in found["operators"][2:7]]
    found["graph"] = [
        {**op, "row": found["operators"][(i * len(numbers["graph"]) + k) % len(found["operators"])]["blob"]}
        for i in range(11)
        for k, op in enumerate(numbers["graph"])
    ]
    return found


@pytest.fixture(params=["digits", "large"])
def page(request, browser, reports, tmp_path):
    """Opens it, without a network, at a size and in a scheme; what it complains of or asks for is a failure."""
    file = tmp_path / "report.html"
    file.write_text(reports[request.param].html(), encoding="utf-8")
    complaints = []

    def open_page(size, scheme="light"):
        width, height = SIZES[size]
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, offline=True)
        opened = context.new_page()
        opened.on("console", lambda message: complaints.append(f"console: {message.text}"))
        opened.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        opened.on("request", lambda asked: asked.url == file.as_uri() or complaints.append(f"asks for {asked.url}"))
        opened.goto(file.as_uri())
        opened.name, opened.numbers = request.param, reports[request.param].numbers
        return opened

    yield open_page
    assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_it_fits_and_shows_everything(page, size, scheme):
    opened = page(size, scheme)
    shoot(opened, f"{size}-{scheme}")
    width, height = SIZES[size]
    assert opened.evaluate("document.documentElement.scrollWidth") == width  # nothing to scroll sideways
    worst = opened.evaluate(
        "[...document.querySelectorAll('.worst')].map((t) => t.scrollWidth - t.parentElement.clientWidth)"
    )
    assert worst == [0]
    bottom = opened.evaluate("document.querySelector('.first').getBoundingClientRect().bottom")
    assert bottom <= height * (1 if opened.name == "digits" else 1.3)
    assert opened.evaluate("getComputedStyle(document.body).backgroundColor") == (
        "rgb(255, 255, 255)" if scheme == "light" else "rgb(18, 22, 28)"
    )
    for place in ("blobs", "weights"):
        drawn = opened.evaluate(f"document.querySelectorAll('#{place} svg path:first-of-type[d^=M]').length")
        assert drawn == len(opened.numbers[place])
    assert opened.locator("#net rect").count() == len(opened.numbers["graph"])


def shoot(opened, what):
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    opened.screenshot(path=SCREENSHOTS / f"{opened.name}-{what}-first.png")
    opened.evaluate("document.querySelectorAll('details').forEach((part) => (part.open = true))")
    opened.screenshot(path=SCREENSHOTS / f"{opened.name}-{what}.png", full_page=True)
    opened.evaluate("window.scrollTo(0, 0)")


@pytest.mark.parametrize("size", SIZES)
def test_charts_can_be_read(page, size):
    opened = page(size)
    heights = opened.evaluate(
        "[...document.querySelectorAll('figure svg text')].map((t) => t.getBoundingClientRect().height)"
    )
    assert len(heights) > 40
    assert min(heights) > 9  # pixels of a line
    colours = opened.evaluate(
        "[...new Set([...document.querySelectorAll('.charts text')].map((t) => getComputedStyle(t).fill))]"
    )
    assert colours == ["rgb(28, 36, 48)"]


def test_tables_sort(page):
    opened = page("desktop")
    rows = "[...document.querySelectorAll('#operators tbody tr')].map((row) => row.cells[{}].{})"
    names = [row["blob"] for row in opened.numbers["operators"]]
    assert opened.evaluate(rows.format(0, "textContent")) == names
    alone = [row["alone"]["sqnr"] for row in opened.numbers["operators"]]
    for expected in (sorted(alone), sorted(alone, reverse=True)):
        opened.get_by_role("button", name="alone", exact=True).click()
        got = opened.evaluate(rows.format(3, "dataset.v"))
        assert [float(v) for v in got] == pytest.approx(expected)
    assert opened.evaluate("document.querySelectorAll('#operators th[aria-sort]').length") == 1
    opened.get_by_role("button", name="blob", exact=True).click()
    assert opened.evaluate(rows.format(0, "textContent")) == names  # by place in the net


def test_the_net_changes_colours(page):
    opened = page("desktop")
    fills = "[...document.querySelectorAll('#net rect')].map((box) => box.getAttribute('fill'))"
    alone = opened.evaluate(fills)
    opened.select_option("#by", "accumulated")
    accumulated = opened.evaluate(fills)
    assert alone != accumulated
    opened.select_option("#by", "alone")
    assert opened.evaluate(fills) == alone


def test_the_keyboard_reaches_what_can_be_pressed(page):
    opened = page("desktop")
    opened.get_by_role("button", name="cosine", exact=True).focus()
    opened.keyboard.press("Enter")
    assert opened.evaluate("document.querySelector('th[aria-sort]').textContent.trim()") == "cosine"
