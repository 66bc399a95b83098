"""The documentation as a site: complete, and without anything that a browser fetches elsewhere."""

import http.server
import re
import shutil
import subprocess
import sys
import threading
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import pytest

pytest.importorskip("material")

ROOT = Path(__file__).resolve().parents[2]
FETCHED = {
    *(("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src")),
    *(("video", "src"), ("audio", "src"), ("object", "data"), ("embed", "src")),
}


class Fetched(HTMLParser):
    """What a browser fetches by itself to show a page."""

    def __init__(self, page):
        super().__init__()
        self.urls = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.urls += [given[name] for kind, name in FETCHED if kind == tag and given.get(name)]
        if tag == "link" and given.get("rel") not in {"canonical", "next", "prev", "alternate"}:
            self.urls.append(given["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    target = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", target],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "NO_MKDOCS_2_WARNING": "1"},
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return target


def test_every_page_of_the_documentation_is_in_the_site(site):
    pages = {path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")}
    built = {path.relative_to(site).with_suffix(".md") for path in site.rglob("*.html")}
    assert pages <= built
    assert not list(site.rglob("*.py"))


def test_no_page_fetches_anything_from_elsewhere(site):
    for page in site.rglob("*.html"):
        for url in Fetched(page.read_text(encoding="utf-8")).urls:
            assert not re.match(r"([a-z]+:)?//", url), f"{page}: {url}"
    for sheet in site.rglob("*.css"):
        fetched = re.findall(r"(?:url\(|@import)\s*[\"']?([^\"')\s]+)", sheet.read_text("utf-8"))
        assert [url for url in fetched if re.match(r"([a-z]+:)?//", url)] == []


def test_a_link_to_a_file_of_the_project_leads_to_that_file(site):
    carried = site / "project/systemd/config.example.yaml.txt"
    assert carried.read_text() == (ROOT / "systemd/config.example.yaml").read_text()
    assert 'href="project/systemd/config.example.yaml.txt"' in (
        site / "configuration.html"
    ).read_text(encoding="utf-8")


def test_a_browser_asks_nobody_else(site):
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("Chromium is not installed")
    handler = partial(Quiet, directory=str(site))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ours = f"http://127.0.0.1:{server.server_port}/"
    asked = []
    try:
        with playwright.sync_playwright() as running:
            browser = running.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page()
            page.on("request", lambda request: asked.append(request.url))
            for name in ("index", "first-hour", "models", "api", "decisions/0009-server"):
                page.goto(f"{ours}{name}.html", wait_until="networkidle")
            page.keyboard.press("/")
            page.keyboard.type("backlog")
            page.wait_for_selector(".md-search-result__item")
            browser.close()
    finally:
        server.shutdown()
        server.server_close()
    assert len(asked) > 5
    assert [url for url in asked if not url.startswith((ours, "data:", f"blob:{ours}"))] == []


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_arguments):
        """Say nothing."""


def test_links_in_the_readme_lead_to_files_that_there_are():
    """Those of the documentation are checked by building the site."""
    for target in re.findall(r"\]\(([^)#\s]+)", (ROOT / "README.md").read_text(encoding="utf-8")):
        if "://" not in target:
            assert (ROOT / target).exists(), target
