"""The built site in a browser, on a desktop and on a phone: `ci/docs` builds it and runs this."""

import functools
import http.server
import shutil
import threading
from pathlib import Path

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: ci/docs runs these tests")
SITE = Path(__file__).resolve().parents[2] / "docs" / "_build" / "html"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
NOTEBOOK = "notebooks/deep-feedforward-networks-zh"
PAGES = (
    "index",
    "installation",
    "tutorials",
    "guide",
    "about",
    "mnist",
    "training",
    "names",
    "sklearn",
    "mathematics",
    "notebooks/deep-feedforward-networks",
    NOTEBOOK,
    "architecture",
    "speed",
    "project/benchmarks",
    "gallery/index",
    "gallery/xor",
    "reference/index",
    "reference/layers",
    "reference/generated/xdfn.DFN",
    "reference/generated/xdfn.Adam",
)
WIDTHS = (1280, 390)

pytestmark = [
    pytest.mark.skipif(not (SITE / "index.html").exists(), reason="there is no site: ci/docs builds it"),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: apt-get install chromium"),
]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def address():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=SITE))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(params=WIDTHS, ids=lambda width: f"{width}px")
def page(request, browser, address):
    """A page of this width. At the end: nothing was wrong on the console, and nothing was asked of another host."""
    page = browser.new_page(viewport={"width": request.param, "height": 800})
    faults = []
    page.on("console", lambda message: faults.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    # a request is aborted where the next page is asked for before all of the last one came
    page.on(
        "requestfailed",
        lambda asked: None if asked.failure == "net::ERR_ABORTED" else faults.append(f"{asked.failure}: {asked.url}"),
    )
    page.on(
        "response", lambda answer: faults.append(f"{answer.status}: {answer.url}") if answer.status >= 400 else None
    )
    page.on("request", lambda asked: None if asked.url.startswith((address, "data:")) else faults.append(asked.url))
    yield page
    page.close()
    assert faults == []


@pytest.mark.parametrize("name", PAGES)
def test_a_page(page, address, name):
    page.goto(f"{address}/{name}.html")
    assert page.locator("article h1").inner_text().strip("# \n")
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0
    unloaded = page.evaluate(
        """async () => {
            const images = [...document.querySelectorAll('article img')];
            images.forEach(image => { image.loading = 'eager'; });
            await Promise.allSettled(images.map(image => image.decode()));
            return images.filter(image => !image.naturalWidth).map(image => image.src);
        }"""
    )
    assert unloaded == []


def test_figures_are_there(page, address):
    for name, least in (
        ("index", 1),
        ("mathematics", 4),
        ("gallery/xor", 1),
        ("notebooks/deep-feedforward-networks-zh", 10),
    ):
        page.goto(f"{address}/{name}.html")
        assert page.locator("article img").count() >= least


def test_equations_are_set_and_numbered(page, address):
    page.goto(f"{address}/mathematics.html")
    page.wait_for_selector("article div.math mjx-container svg")
    assert page.locator("article div.math[id^=equation-]").count() == 23
    assert page.locator("article div.math mjx-container").count() >= 23
    assert page.locator("mjx-merror, [data-mjx-error]").count() == 0


@pytest.mark.parametrize(("words", "found"), [("EarlyStopping", "EarlyStopping"), ("max-norm dropout", "Training")])
def test_search(page, address, words, found):
    page.goto(f"{address}/search.html?q={words}")
    page.wait_for_selector("#search-results li a")
    assert any(found in text for text in page.locator("#search-results li a").all_inner_texts())


def test_the_menu_leads_from_page_to_page(page, address):
    page.goto(f"{address}/index.html")
    for word, name in (("Tutorials", "tutorials"), ("MNIST on the CPU", "mnist"), ("Reference", "reference/index")):
        if page.viewport_size["width"] < 960:  # the menu is behind a button
            page.locator("button.primary-toggle, label.primary-toggle").first.click()
        page.locator("a.nav-link:visible, nav a:visible").filter(has_text=word).first.click()
        page.wait_for_url(f"**/{name}.html")
