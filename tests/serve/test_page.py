"""The page, in a browser, as people use it."""

import dataclasses
import json
import shutil
import time
from pathlib import Path

import pytest

from edge_asr import clock
from edge_asr.alarms import AlarmCode
from edge_asr.config import parse_config
from edge_asr.records import Gap, GapKind, Word
from edge_asr.serve.access import Access
from edge_asr.store.feed import Feed
from tests.store.speech import recognition, say, write_down

SIZES = {"phone": (390, 844), "kiosk": (1024, 600), "desktop": (1440, 900)}
VIEWS = ("live", "log", "ledger", "alarms", "settings")
TOKEN = "correct-horse-battery-staple"  # noqa: S105 (of a test)


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("no Chromium; install it with: apt install chromium")
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(
            executable_path=program,
            args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"],
        )
        yield started
        started.close()


class Complaints(list):
    """What a browser has to complain about."""

    def watch(self, page):
        page.on(
            "console", lambda said: said.type in {"error", "warning"} and self.append(said.text)
        )
        page.on("pageerror", lambda error: self.append(str(error)))
        return page


@pytest.fixture
def visit(browser):
    """Return what opens a page; whatever it complains of fails the test."""
    contexts, complaints = [], Complaints()

    def start(server, view="live", size="desktop", scheme="light"):
        width, height = SIZES[size]
        viewport = {"width": width, "height": height}
        contexts.append(browser.new_context(viewport=viewport, color_scheme=scheme))
        page = complaints.watch(contexts[-1].new_page())
        page.set_default_timeout(15_000)
        page.goto(f"{server.url}/#{view}")
        return page

    start.complaints = complaints
    yield start
    for context in contexts:
        context.close()
    assert complaints == []


def until(page, condition):
    """Wait for a condition; the page's own policy forbids Playwright's way to do so."""
    deadline_s = time.monotonic() + 20
    while not page.evaluate(condition):
        assert time.monotonic() < deadline_s, condition
        time.sleep(0.05)


def talk(store, *texts):
    said = []
    for text in texts:
        said.append(say(store))
        write_down(store, said[-1], text)
    return said


def test_what_is_heard_and_said_is_seen_at_once(visit, server, store):
    with store.listening("mic"):
        watch = store.watches.begin("mic", clock.now())
        watch.heard(time.monotonic_ns(), 16_000)
        watch._write_heartbeat(watch._id, watch.progress)
        page = visit(server)
        card = page.get_by_role("article", name="Microphone mic")
        card.get_by_text("Listening.").wait_for()
        feed = Feed(store.state_dir)
        deadline_s = time.monotonic() + 10
        while not feed.has_onlookers and time.monotonic() < deadline_s:
            time.sleep(0.05)
        level = {"event": "level", "rms_dbfs": -21.4, "peak_dbfs": -9.0, "speaking": True}
        feed.tell(json.dumps({**level, "source": "mic"}).encode())
        feed.tell(json.dumps({"event": "partial", "source": "mic", "text": "pump se"}).encode())
        card.get_by_text("someone speaks").wait_for()
        assert card.get_by_role("meter").get_attribute("aria-valuenow") == "-21"
        card.get_by_text("pump se").wait_for()
        utterance = say(store)
        page.get_by_text("1 utterance (0 s) waits").wait_for()
        card.get_by_text("pump se").wait_for(state="hidden")
        write_down(store, utterance, "pump seven is <b>leaking</b>")
        recent = page.locator("#recent")
        recent.get_by_text("pump seven is <b>leaking</b>").wait_for()
        store.alarms.raise_alarm(AlarmCode.MIC_CLIPPING, "mic", "too loud", moment=clock.now())
        page.get_by_text("Listening. Too loud.").wait_for()
        page.get_by_label("1 active").wait_for()
        watch.end()


def test_the_log_is_searched_and_filtered(visit, server, store):
    talk(store, "the press is hot", "pump seven leaks")
    page = visit(server, "log")
    entries = page.locator("#entries li")
    page.get_by_text("2 found").wait_for()
    page.get_by_label("Search", exact=True).fill("pump")
    page.keyboard.press("Enter")
    page.get_by_text("1 found").wait_for()
    assert "pump seven leaks" in entries.first.inner_text()
    page.get_by_role("button", name="Clear").click()
    page.get_by_text("2 found").wait_for()
    page.locator("#log").get_by_label("Day").fill("2001-01-01")
    page.get_by_text("Nothing found.").wait_for()


def test_older_entries_come_on_request(visit, server, store):
    talk(store, *(f"number {i}" for i in range(55)))
    page = visit(server, "log")
    page.get_by_text("50 or more found").wait_for()
    page.get_by_role("button", name="Show older").click()
    page.get_by_text("55 found").wait_for()
    page.get_by_text("number 0", exact=True).wait_for()


def test_words_are_marked_as_they_sound(visit, server, store):
    utterance = say(store, n_samples=48_000)
    words = tuple(Word(text, i / 1.0, i + 1.0) for i, text in enumerate(("one", "two", "three")))
    said = dataclasses.replace(recognition("one two three"), words=words)
    store.transcripts.add(
        utterance.utterance_id, said, bundle="ctc", bundle_sha256="ab" * 32, created_utc_ns=1
    )
    page = visit(server, "log")
    page.get_by_role("button", name="Open").click()
    page.get_by_role("button", name="two", exact=True).click()
    page.locator(".sounding", has_text="two").wait_for()
    page.locator(".sounding", has_text="three").wait_for()
    until(page, "document.getElementById('player').ended")
    assert page.locator(".sounding").count() == 0


def test_a_correction_stands_beside_what_was_heard(visit, server, store):
    (said,) = talk(store, "pump seven is leaking")
    page = visit(server, "log")
    page.get_by_role("button", name="Open").click()
    page.get_by_label("Correct what was written").fill("pump 7 is leaking")
    page.get_by_role("button", name="Save as a new version").click()
    page.get_by_text("Saved.").wait_for()
    assert page.locator("#side-left del").inner_text() == "seven"
    assert page.locator("#side-right ins").inner_text() == "7"
    assert [v.bundle for v in store.transcripts.versions(said.utterance_id)] == ["tiny", "human"]
    page.keyboard.press("Escape")
    page.locator("#entries", has_text="pump 7 is leaking").wait_for()
    page.locator("#entries .badge", has_text="corrected").wait_for()


def test_a_correction_of_what_changed_meanwhile_is_told_so(visit, server, store):
    (said,) = talk(store, "pump seven")
    page = visit(server, "log")
    page.get_by_role("button", name="Open").click()
    box = page.get_by_label("Correct what was written")
    box.fill("pump 8")
    page.route(
        "**/versions",
        lambda route: route.continue_(post_data=json.dumps({"text": "x", "parent_version": 9})),
    )
    with page.expect_response("**/versions") as answered:
        page.get_by_role("button", name="Save as a new version").click()
    assert answered.value.status == 409
    until(page, "document.getElementById('correction-status').textContent !== ''")
    visit.complaints.clear()  # that of the refusal, which is wanted
    page.get_by_text("version 1 stands for utterance 1 by now").wait_for()
    assert box.input_value() == "pump 8"
    assert len(store.transcripts.versions(said.utterance_id)) == 1


def test_what_is_selected_is_exported(visit, server, store):
    talk(store, "one", "two", "three")
    page = visit(server, "log")
    page.get_by_label("Select: one").check()
    page.get_by_label("Select: three").check()
    page.get_by_label("Format").select_option("txt")
    with page.expect_download() as download:
        page.get_by_role("link", name="Export 2 selected").click()
    assert Path(download.value.path()).read_text() == "one\nthree\n"


def test_a_day_is_a_strip_of_what_it_was(visit, server, store):
    with store.listening("mic"):
        moment = clock.now()
        watch = store.watches.begin("mic", moment)
        store.gaps.add("mic", Gap(GapKind.NO_DEVICE, moment.shifted(-(10**9)), 1.0, "unplugged"))
        say(store)
        page = visit(server, "ledger")
        strip = page.get_by_role("img", name="mic: speech")
        strip.wait_for()
        assert {"speech", "no_device"} <= {
            bar.get_attribute("class") for bar in strip.locator("rect").all()
        }
        page.get_by_role("button", name="The day after").click()
        page.get_by_text("Nothing is known of this day.").wait_for()
        watch.end()


def test_alarms_and_settings_are_shown(visit, serve_here, store):
    config = parse_config("recognition: {bundle: granite-speech-4.1-2b}")
    page = visit(serve_here(config), "alarms")
    page.get_by_text("No alarm is active.").wait_for()
    store.alarms.raise_alarm(AlarmCode.MIC_GONE, "mic", "unplugged", moment=clock.now())
    page.get_by_text("MIC-GONE").wait_for()
    page.get_by_role("link", name="Settings").click()
    page.locator("summary", has_text="recognition").click()
    page.get_by_text("granite-speech-4.1-2b").wait_for()
    page.get_by_text("The bundle that recognizes").first.wait_for()


def test_it_is_used_by_keyboard_alone(visit, server, store):
    talk(store, "pump seven")
    page = visit(server)
    page.get_by_text("pump seven").wait_for()
    page.keyboard.press("/")
    until(page, "document.activeElement.name === 'q'")
    page.keyboard.type("pump")
    page.keyboard.press("Enter")
    page.locator("#entries li").wait_for()
    page.locator("#entries li button").focus()
    page.keyboard.press("Enter")
    page.get_by_role("dialog").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="hidden")
    until(page, "document.activeElement.textContent === 'Open'")


def test_the_keyboard_stays_where_it_was_when_an_entry_is_replaced(visit, server, store):
    (said,) = talk(store, "pump seven")
    page = visit(server, "log")
    page.locator("#entries li button").focus()
    store.corrections.add(said.utterance_id, "pump 7", parent_version=1, created_utc_ns=1)
    page.locator("#entries").get_by_text("pump 7").wait_for()
    assert page.evaluate("document.activeElement.ariaLabel") == "Open: pump 7"


def test_the_keyboard_is_at_the_entry_after_its_dialog_though_it_was_replaced(visit, server, store):
    (said,) = talk(store, "pump seven")
    page = visit(server, "log")
    page.locator("#entries li button").focus()
    page.keyboard.press("Enter")
    page.get_by_role("dialog").wait_for()
    store.corrections.add(said.utterance_id, "pump 7", parent_version=1, created_utc_ns=1)
    page.locator("#entries").get_by_text("pump 7").wait_for(state="attached")
    page.keyboard.press("Escape")
    until(page, "document.activeElement.ariaLabel === 'Open: pump 7'")


def fill_all_views(store):
    talk(store, "a sentence that is long enough to be broken into several lines on a phone " * 3)
    talk(store, "w" * 120)
    store.alarms.raise_alarm(AlarmCode.MIC_GONE, "mic", "unplugged", moment=clock.now())


def each_view(page, server):
    """Yield the name of each view while it is shown."""
    for view in (*VIEWS, "dialog"):
        page.goto(f"{server.url}/#{'log' if view == 'dialog' else view}")
        page.locator("#facts div").nth(3).wait_for(state="attached")
        if view == "dialog":
            page.locator("#entries li button").first.click()
            page.get_by_role("dialog").wait_for()
        yield view


@pytest.mark.parametrize("size", SIZES)
def test_it_fits_and_can_be_touched(visit, server, store, size):
    fill_all_views(store)
    page = visit(server, size=size)
    for view in each_view(page, server):
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= SIZES[size][0], f"{view} is {width} wide"
        small = page.locator("button:visible, nav a:visible, input:not([type=checkbox]):visible")
        for box in [each.bounding_box() for each in small.all()]:
            assert box["height"] >= 40, f"{view} has something too small to touch"


@pytest.mark.parametrize(("size", "scheme"), [("phone", "light"), ("kiosk", "dark")])
def test_it_can_be_read_by_everybody(visit, server, store, size, scheme):
    """Names, roles, contrast and order, as axe checks them."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is missing")
    fill_all_views(store)
    page = visit(server, size=size, scheme=scheme)
    for view in each_view(page, server):
        found = axe.Axe().run(page)
        assert found.violations_count == 0, f"{view}: {found.generate_report()}"


def test_who_has_the_token_signs_in_and_others_see_nothing(browser, serve_here, store):
    talk(store, "pump seven")
    server = serve_here(access=Access(TOKEN))
    context = browser.new_context()
    page = context.new_page()
    page.goto(server.url)
    assert "pump" not in page.content()
    page.get_by_label("Token").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("pump seven").wait_for()
    context.close()


def test_dark_and_light_are_chosen_and_kept(visit, server):
    page = visit(server, scheme="light")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    page.get_by_role("button", name="Change between light and dark").click()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
