# SPDX-License-Identifier: Apache-2.0
"""The page in a real browser.  Screenshots go to build/screenshots."""
import json
import shutil
import signal

import pytest
from chat_server import REWRITTEN, serving
from conftest import BUILD, QUICK, SLOW, Server, png
from nginx import BELOW, MISSING, NGINX, free_port, nginx

webdriver = pytest.importorskip("selenium.webdriver",
                                reason="selenium is not installed (python3-selenium)")
from selenium.common.exceptions import TimeoutException  # noqa: E402
from selenium.common.exceptions import WebDriverException  # noqa: E402
from selenium.webdriver.chrome.options import Options  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
if not CHROMIUM or not DRIVER:
    pytest.skip("chromium and chromium-driver are not installed",
                allow_module_level=True)

KEY = "correct-horse-battery"
SIZES = {"desktop": (1440, 900), "tablet": (820, 1180), "phone": (390, 844)}


@pytest.fixture(scope="module")
def browser():
    options = Options()
    options.binary_location = CHROMIUM
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--mute-audio",
                 "--autoplay-policy=no-user-gesture-required", "--disable-dev-shm-usage",
                 "--window-size=1440,900"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(service=Service(DRIVER), options=options)
    yield driver
    driver.quit()


class Page:
    def __init__(self, browser, server, address=None):
        self.browser = browser
        self.server = server
        browser.get_log("browser")
        browser.delete_all_cookies()
        browser.get(address or f"http://127.0.0.1:{server.port}/")

    def all(self, selector):
        """What is seen now; nothing while the page is being replaced."""
        try:
            return [e for e in self.browser.find_elements(By.CSS_SELECTOR, selector)
                    if e.is_displayed()]
        except WebDriverException:
            return []

    def one(self, selector, seconds=15):
        return self.until(lambda: (self.all(selector) or [None])[0], seconds, selector)

    def until(self, condition, seconds=15, what="the page"):
        try:
            return WebDriverWait(self.browser, seconds, 0.1).until(lambda _: condition())
        except TimeoutException as late:
            raise AssertionError(f"still waiting for {what}: {self.text()[:600]}") from late

    def text(self):
        """Of the whole page; empty while it is being replaced."""
        try:
            return self.browser.find_element(By.TAG_NAME, "body").text
        except WebDriverException:
            return ""

    def script(self, text, *arguments):
        return self.browser.execute_script(text, *arguments)

    def wait_for_text(self, text, seconds=20):
        self.until(lambda: text in self.text(), seconds, text)

    def choose(self, selector):
        self.script("document.querySelector(arguments[0]).click()", selector)

    def set(self, selector, value):
        self.script("const e = document.querySelector(arguments[0]);"
                    "e.value = arguments[1];"
                    "e.dispatchEvent(new Event('input', {bubbles: true}))",
                    selector, str(value))

    def shot(self, name):
        folder = BUILD / "screenshots"
        folder.mkdir(exist_ok=True)
        self.browser.save_screenshot(str(folder / f"{name}.png"))

    def complaints(self):
        return [line["message"] for line in self.browser.get_log("browser")
                if "ERR_CONNECTION" not in line["message"]
                and "Failed to load resource" not in line["message"]]


@pytest.fixture
def open_page(browser, start):
    def begin(*flags, **more):
        server = start("--rate", "0", *flags, **more)
        return Page(browser, server)
    yield begin
    browser.get("about:blank")


def test_make_a_film_and_play_it(open_page, tmp_path):
    page = open_page()
    page.wait_for_text("No films yet.")
    picture = tmp_path / "first.png"
    picture.write_bytes(png(200, 120))
    page.one("#ideas button").click()
    assert page.one("#prompt").get_attribute("value")
    page.one("#prompt").clear()
    page.one("#prompt").send_keys("Rain on a roof.")
    page.browser.find_element(By.ID, "picture").send_keys(str(picture))
    assert page.one("#picture-shown")
    page.one("summary").click()
    page.set("#steps", 2)
    page.one("#seed").send_keys("11")
    page.one("#make").click()
    page.one(".card .going")
    page.shot("being-made")
    film = page.one(".card video", 40)
    video = page.server.get("/v1/videos").json["data"][0]
    assert video["settings"]["seed"] == 11 and video["settings"]["picture"] is True
    assert video["settings"]["num_inference_steps"] == 2
    assert video["prompt"] == "Rain on a roof."
    # To its end, with sound.
    page.script("arguments[0].loop = false; arguments[0].play()", film)
    page.until(lambda: page.script("return arguments[0].ended", film), 20, "the end")
    state = page.script(
        "const v = arguments[0]; return {duration: v.duration, error: v.error,"
        " sound: v.webkitAudioDecodedByteCount, frames:"
        " v.getVideoPlaybackQuality().totalVideoFrames, width: v.videoWidth}", film)
    assert state["error"] is None and state["sound"] > 1000 and state["frames"] > 1
    settings = video["settings"]
    assert state["width"] == settings["width"]
    assert abs(state["duration"] - settings["num_frames"] / settings["fps"]) < 0.05
    page.script("arguments[0].currentTime = arguments[1]", film, state["duration"] / 2)
    page.until(lambda: page.script("return !arguments[0].seeking", film))
    assert abs(page.script("return arguments[0].currentTime", film)
               - state["duration"] / 2) < 0.05
    loop = page.one("[data-do=loop]")
    for wanted in (True, False):        # it was switched off above
        loop.click()
        assert page.script("return arguments[0].loop", film) is wanted
        assert loop.get_attribute("aria-pressed") == str(wanted).lower()
    assert page.one("[data-do=download]").get_attribute("href").endswith("/content")
    page.one("[data-do=copy]").click()
    page.wait_for_text("Settings copied.")
    page.one("[data-do=again]").click()
    page.until(lambda: len(page.all(".card")) == 2, 15, "another take")
    again = page.server.get("/v1/videos?limit=1").json["data"][0]
    assert again["settings"]["seed"] != 11 and again["settings"]["picture"] is True
    assert page.complaints() == []


def test_a_chat_model_writes_the_prompt_out(open_page):
    with serving() as chat:
        page = open_page("--rewrite-prompt", chat.url("good"), "--rewrite-model", "m")
        page.one("#prompt").send_keys("Rain.")
        page.one("#rewrite").click()
        page.one("summary").click()
        page.set("#steps", 1)
        page.one("#make").click()
        page.one(".card video", 40)
        assert page.one(".words").text == "Rain."
        page.one(".rewritten summary").click()
        assert page.one(".rewritten-words").text == REWRITTEN
        page.shot("written-out")
        page.one("[data-do=again]").click()
        page.until(lambda: len(page.all(".card")) == 2, 15, "another take")
        again = page.server.get("/v1/videos?limit=1").json["data"][0]
        assert again["prompt"] == "Rain." and again["rewritten_prompt"] == REWRITTEN
        page.choose(".card:last-child [data-do=use]")
        assert page.one("#prompt").get_attribute("value") == REWRITTEN
        assert not page.one("#rewrite").is_selected() and len(chat.seen) == 1
        assert page.complaints() == []
        page = open_page("--rewrite-prompt", chat.url("broken"), "--rewrite-model", "m",
                         folder=page.server.folder.parent / "others")
        page.server.create(rewrite="true")
        page.wait_for_text("Made from your own words: the chat model answers with status 500.")
        assert not page.all(".rewritten")
    page = open_page(folder=page.server.folder.parent / "plain")
    page.one("#prompt")
    assert not page.all("#rewrite-choice") and not page.all("#rewrite-help")


def test_keyboard_alone(open_page):
    page = open_page()
    page.one("#prompt")
    seen = set()
    for _ in range(14):
        ActionChains(page.browser).send_keys(Keys.TAB).perform()
        focused = page.browser.switch_to.active_element
        seen.add(focused.get_attribute("id") or focused.tag_name)
    assert {"prompt", "picture", "make", "summary"} <= seen
    page.set("#steps", 1)
    page.choose("#lengths input")
    page.one("#prompt").send_keys("Wind.", Keys.CONTROL + Keys.ENTER)
    page.one(".card video", 40)


def test_films_are_kept(open_page):
    """How long is said, and a star keeps one: by mouse and by keyboard, and for good."""
    page = open_page("--retention", "2d")
    video = page.server.create()
    page.one(".card video", 40)
    assert page.one(".kept").text.startswith("Kept until ")
    star = page.one("[data-do=star]")
    assert star.text == "Keep" and star.get_attribute("aria-pressed") == "false"
    star.click()
    page.until(lambda: page.one(".kept").text == "Kept until you delete it", 15, "the star")
    assert page.one("[data-do=star]").get_attribute("aria-pressed") == "true"
    assert page.server.video(video["id"])["starred"] is True
    page.server.restart(signal.SIGTERM)
    page.browser.refresh()
    page.until(lambda: page.one(".kept").text == "Kept until you delete it", 20, "the star")
    star = page.one("[data-do=star]")
    page.script("arguments[0].focus()", star)
    ActionChains(page.browser).send_keys(Keys.ENTER).perform()
    page.until(lambda: page.one("[data-do=star]").get_attribute("aria-pressed") == "false")
    assert page.one(".kept").text != "Kept until you delete it"
    assert page.script("return document.activeElement.dataset.do") == "star"
    assert page.server.video(video["id"])["starred"] is False
    assert page.complaints() == []


def test_nothing_is_said_where_films_stay(open_page):
    page = open_page()
    page.server.create()
    page.one(".card video", 40)
    assert not page.all(".kept")


def test_what_is_wrong_is_said(open_page):
    page = open_page()
    page.one("#make").click()
    assert page.one("#composer-error").text == "Say what happens in the film."
    assert page.browser.switch_to.active_element.get_attribute("id") == "prompt"
    page.one("#prompt").send_keys("Fog.")
    page.script("document.getElementById('advanced').open = true")
    page.one("#seed").send_keys("many")
    page.one("#make").click()
    page.until(lambda: "seed is" in page.one("#composer-error").text)
    assert page.one("#seed").get_attribute("aria-invalid") == "true"
    page.shot("wrong-seed")


def test_what_a_film_will_lack_is_said(browser, model, tmp_path):
    """Beforehand, with the tokens that are counted, and on the film's card."""
    modest = tmp_path / "model"
    shutil.copytree(model, modest)
    config = json.loads((modest / "generation_config.json").read_text())
    made_for = {"about": "Balls fall.", "sizes": ["48x32", "32x48", "32x32"],
                "num_frames": [9, 5], "languages": ["en"], "subjects": ["ball"]}
    (modest / "generation_config.json").write_text(
        json.dumps({**config, "made_for": made_for}))
    server = Server(modest, tmp_path / "films")
    try:
        page = Page(browser, server)
        page.wait_for_text("Balls fall.")
        labels = [e.text for e in page.all("#shapes .choice")]
        assert labels == ["48\u00d732", "32\u00d748", "32\u00d732"]
        values = page.script("return [...document.querySelectorAll('input[name=length]')]"
                             ".map(e => e.value)")
        assert values == ["5", "9"]
        assert not page.all("#prompt-notes") and not page.all("#prompt-count")
        page.one("#prompt").send_keys("A dog.")
        page.until(lambda: "names no ball" in page.one("#prompt-notes").text)
        page.shot("warning")
        assert page.script(CONTRAST) == [] and page.script(NAMES) == []
        page.set("#prompt", "A ball falls. " * 300)
        page.until(lambda: "of 512 tokens" in page.one("#prompt-count").text)
        assert "have no effect" in page.one("#prompt-notes").text
        page.set("#prompt", "A ball.")
        page.until(lambda: not page.all("#prompt-notes") and not page.all("#prompt-count"))
        page.set("#prompt", "A dog.")
        page.set("#steps", 1)
        page.one("#make").click()
        page.until(lambda: "names no ball" in page.one(".card .notes").text)
        assert page.complaints() == []
    finally:
        browser.get("about:blank")
        server.stop()


def test_cancel_delete_and_undo(open_page):
    page = open_page()
    page.server.create(**SLOW)
    page.browser.refresh()
    page.one("[data-do=cancel]").click()
    page.wait_for_text("Cancelled")
    page.one("[data-do=delete]").click()
    page.until(lambda: not page.all(".card"))
    page.shot("undo")
    page.one(".toast button").click()
    page.one(".card")
    assert len(page.server.get("/v1/videos").json["data"]) == 1
    page.one("[data-do=delete]").click()
    page.until(lambda: not page.all(".card"))
    # Leaving the page makes it final.
    page.browser.get("about:blank")
    page.until(lambda: page.server.get("/v1/videos").json["data"] == [], 5)


def test_reload_and_restart_in_the_middle(open_page):
    page = open_page()
    video = page.server.create(size="96x64", num_frames=17, num_inference_steps=200)
    page.browser.refresh()
    page.one(".card .going")
    page.until(lambda: "Step" in page.one(".card .now").text, 20, "a step")
    page.until(lambda: page.all(".card .strip"), 20, "a preview")
    page.server.stop(signal.SIGKILL)
    page.wait_for_text("cannot be reached")
    page.shot("offline")
    page.server.start()
    page.one(".card video", 180)
    page.until(lambda: not page.all("#offline"))
    assert page.server.video(video["id"])["status"] == "completed"


def test_the_queue_is_full(open_page):
    page = open_page("--max-queue", "1")
    page.server.create(**SLOW)
    page.server.wait(page.server.get("/v1/videos").json["data"][0]["id"], "in_progress")
    page.server.create()
    page.one("#prompt").send_keys("Snow.")
    page.one("#make").click()
    page.until(lambda: "queue is full" in page.one("#composer-error").text)
    assert "Try again in" in page.one("#make").text
    assert not page.one("#make").is_enabled()
    page.shot("queue-full")


def test_signing_in(open_page, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text(f"ann:{KEY}\n")
    page = open_page("--api-key-file", keys, key=KEY)
    page.one("#key").send_keys("this-is-wrong", Keys.ENTER)
    page.wait_for_text("not a key of this server")
    page.shot("sign-in")
    page.one("#key").clear()
    page.one("#key").send_keys(KEY, Keys.ENTER)
    page.wait_for_text("No films yet.")
    assert KEY not in page.script("return document.cookie + JSON.stringify(localStorage)")
    video = page.server.create(num_inference_steps=1)
    page.server.wait(video["id"])
    page.browser.refresh()
    page.one(".card video")
    page.one("#sign-out").click()
    page.one("#sign-in")
    assert not page.all(".card")


CONTRAST = """
const shown = (e) => e.offsetParent !== null && getComputedStyle(e).visibility === 'visible';
const parse = (c) => (c.match(/[\\d.]+/g) || []).map(Number);
const light = (c) => { const [r, g, b] = c.map((v) => { v /= 255;
  return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const behind = (e) => { for (; e; e = e.parentElement) {
  const c = parse(getComputedStyle(e).backgroundColor);
  if (c.length === 3 || c[3] === 1) return c.slice(0, 3); } return [255, 255, 255]; };
const bad = [];
for (const e of document.querySelectorAll('body *')) {
  const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  if (!own || !shown(e) || e.closest('.spoken, .screen, :disabled')) continue;
  const a = light(parse(getComputedStyle(e).color).slice(0, 3)), b = light(behind(e));
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (ratio < 4.5) bad.push(`${e.className || e.id || e.tagName}: ${ratio.toFixed(2)}`);
}
return bad;
"""
NAMES = """
const shown = (e) => e.offsetParent !== null;
const bad = [];
for (const e of document.querySelectorAll('button, a, input, select, textarea, progress, video, img, svg')) {
  if (!shown(e)) continue;
  const by = (e.getAttribute('aria-labelledby') || '').split(' ').map((i) => document.getElementById(i)?.textContent).join('');
  const label = e.labels ? [...e.labels].map((l) => l.textContent).join('') : '';
  const name = (e.getAttribute('aria-label') || by || label || e.alt || e.textContent || '').trim();
  if (!name && e.getAttribute('aria-hidden') !== 'true' && e.tagName !== 'IMG') bad.push(e.outerHTML.slice(0, 90));
}
const ids = [...document.querySelectorAll('[id]')].map((e) => e.id);
if (new Set(ids).size !== ids.length) bad.push('an id is used twice');
for (const e of document.querySelectorAll('[aria-describedby], [for]')) {
  const ids = e.getAttribute('aria-describedby') || e.getAttribute('for');
  for (const id of ids.split(' '))
    if (!document.getElementById(id)) bad.push('nothing is called ' + id);
}
if (document.documentElement.lang !== 'en') bad.push('no language');
if (document.querySelectorAll('h1').length !== 1) bad.push('not one h1');
return bad;
"""


def emulate(browser, size, dark):
    width, height = SIZES[size]
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [
        {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]})


def test_looks_in_every_size_and_theme(open_page):
    page = open_page()
    for size in SIZES:
        for dark in (False, True):
            emulate(page.browser, size, dark)
            page.wait_for_text("No films yet.")
            page.shot(f"empty-{size}-{'dark' if dark else 'light'}")
            assert page.script(CONTRAST) == []
    done = page.server.create({"input_reference": ("a.png", png())},
                              prompt="Rain drums on a tin roof while somebody whistles.")
    page.server.wait(done["id"])
    failed = page.server.create(**SLOW)
    page.server.request("POST", f"/v1/videos/{failed['id']}/cancel")
    page.server.wait(failed["id"])
    page.server.create(**{**SLOW, "num_inference_steps": 400})
    page.server.create(size="32x64")
    try:
        for size in SIZES:
            for dark in (False, True):
                emulate(page.browser, size, dark)
                page.browser.refresh()
                page.until(lambda: len(page.all(".card")) == 4, 20, "four cards")
                page.script("document.getElementById('advanced').open = true")
                page.until(lambda: page.all(".card video"))
                page.shot(f"films-{size}-{'dark' if dark else 'light'}")
                assert page.script(CONTRAST) == []
                assert page.script(NAMES) == []
                assert page.script("return document.documentElement.scrollWidth <= "
                                   "document.documentElement.clientWidth"), size
                small = page.script(
                    "return [...document.querySelectorAll('button, a.quiet, summary')]"
                    ".filter((e) => e.offsetParent && e.getBoundingClientRect().height < 24)"
                    ".map((e) => e.outerHTML)")
                assert small == []
    finally:
        page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert page.complaints() == []


def test_older_films(open_page):
    page = open_page("--max-queue", "40")
    for number in range(27):
        page.server.create(size="16x16", num_frames=1, num_inference_steps=1,
                           prompt=f"Film {number}")
    page.browser.refresh()
    page.until(lambda: len(page.all(".card")) == 24, 30, "a page of films")
    page.one("#more").click()
    page.until(lambda: len(page.all(".card")) == 27, 15, "all films")
    assert not page.all("#more")
    assert "Film 26" in page.all(".card")[0].text
    assert "Film 0" in page.all(".card")[-1].text


def test_more_new_films_than_a_page(open_page):
    """Made while the page did not ask: none of them is out of reach."""
    page = open_page("--max-queue", "40")
    film = {"size": "16x16", "num_frames": 1, "num_inference_steps": 1}
    page.server.create(**film, prompt="Film 0")
    page.until(lambda: len(page.all(".card")) == 1, 30, "the first film")
    page.script("clearTimeout(pollTimer); closeStream(); refresh = async () => {};")
    for number in range(1, 31):
        page.server.create(**film, prompt=f"Film {number}")
    page.script("request('/v1/videos?limit=24').then(merge)")
    page.until(lambda: "Film 30" in page.text(), 15, "the newest film")
    page.one("#more").click()
    page.until(lambda: len(page.all(".card")) == 31, 15, "all films")
    words = [card.text.split("Film ")[1].split()[0] for card in page.all(".card")]
    assert words == [str(number) for number in range(30, -1, -1)]


def test_a_stream_that_ended_is_opened_again(open_page):
    page = open_page()
    video = page.server.create(**{**SLOW, "num_inference_steps": 1000})
    page.until(lambda: page.script("return stream !== null"), 30, "the stream")
    page.script("window.ended = stream.source; ended.close();")
    page.until(lambda: page.script("return stream !== null && stream.source !== ended && "
                                   "stream.source.readyState === EventSource.OPEN"), 20,
               "another stream")
    page.server.request("POST", f"/v1/videos/{video['id']}/cancel")


def test_without_an_effect_on_others(open_page):
    """Nothing is asked of any other host."""
    page = open_page()
    page.one("#prompt")
    names = page.script("return performance.getEntriesByType('resource')"
                        ".map((e) => new URL(e.name).host)")
    assert set(names) == {f"127.0.0.1:{page.server.port}"}
    assert QUICK["prompt"] not in page.browser.page_source


@pytest.mark.skipif(not NGINX, reason=MISSING)
def test_below_a_path(browser, start, tmp_path):
    """With keys, opened without the slash at its end: signing in, a film, its download."""
    keys = tmp_path / "keys"
    keys.write_text(f"alice:{KEY}\n")
    server = start("--api-key-file", keys, "--rate", "0")
    port = free_port()
    with nginx(tmp_path, BELOW.format(port=port, backend=server.port)):
        page = Page(browser, server, f"http://127.0.0.1:{port}/film")
        page.until(lambda: browser.current_url.endswith("/film/"))
        page.one("#key").send_keys(KEY)
        page.one("#sign-in-form button").click()
        page.wait_for_text("No films yet.")
        page.one("#prompt").send_keys("Rain on a roof.")
        page.one("summary").click()
        page.set("#steps", 2)
        page.one("#make").click()
        page.one(".card video", 40)
        page.until(lambda: page.script("return document.querySelector('video').readyState") > 0)
        link = page.one(".card [data-do=download]").get_attribute("href")
        assert link.startswith(f"http://127.0.0.1:{port}/film/v1/videos/")
        page.choose("#sign-out")
        page.one("#key")
        assert not [line for line in page.complaints() if "app.js" not in line]
    browser.get("about:blank")
