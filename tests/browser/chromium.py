"""Chromium, hands that use it by mouse or by keys, and eyes for what every page must be."""

import base64
import importlib.util
import json
import shutil
import time
from pathlib import Path
from urllib.parse import urlsplit

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

# Of the narrowest telephone and of a large screen, in CSS pixels.
WIDTHS = (360, 1920)
# The pseudo-locale, whose words are longer than those of any language.
PSEUDO = "qps"
# Longest wait for anything; a loaded machine is slow.
PATIENCE_S = 60
# A name that another site can point at the box.
REBOUND = "rebound.example"

# What does not fit, and what only colour says. Screen readers' words are clipped on purpose, and
# tables of figures scroll in their place.
LAYOUT = """
const said = [];
const text = (e) => e.textContent.trim().slice(0, 40);
const name = (e) => `${e.localName}${e.id && '#' + e.id}.${e.className} "${text(e)}"`;
const clipped = (e) => e.closest('.quiet, .skip, .picture, .table, select, textarea, input');
const wide = document.scrollingElement.scrollWidth;
if (wide > innerWidth) said.push(`the page is ${wide} px wide, the window ${innerWidth}`);
for (const e of document.body.querySelectorAll('*')) {
  if (e.clientWidth === 0 || !e.checkVisibility() || clipped(e)) continue;
  if (e.scrollWidth > e.clientWidth + 1) {
    said.push(`${e.scrollWidth} px of content in ${e.clientWidth} px: ${name(e)}`);
  }
  if (e.matches('button, .button, .badge, summary') && e.scrollHeight > e.clientHeight + 1) {
    said.push(`higher than its box: ${name(e)}`);
  }
}
// A word of ours that is broken in the middle has no room; names and UIDs may be.
const ours = 'nav a, button, .button, .badge, .count, .mark, .checks .verdict, dt, label';
for (const e of document.querySelectorAll(ours)) {
  if (!e.checkVisibility() || e.querySelector('bdi')) continue;
  const texts = document.createTreeWalker(e, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    for (const word of texts.currentNode.data.matchAll(/\\S+/g)) {
      const range = new Range();
      range.setStart(texts.currentNode, word.index);
      range.setEnd(texts.currentNode, word.index + word[0].length);
      const lines = new Set([...range.getClientRects()].map((box) => Math.round(box.top)));
      if (lines.size > 1 && !clipped(texts.currentNode.parentElement)) {
        said.push(`"${word[0]}" is broken: ${name(e)}`);
      }
    }
  }
}
for (const image of document.images) {
  if (getComputedStyle(image).aspectRatio === 'auto') {
    said.push(`moves the page when it comes: ${image.src}`);
  }
}
const shapes = new Map();
for (const badge of document.querySelectorAll('.badge')) {
  const shape = badge.querySelector('[aria-hidden=true]')?.textContent.trim();
  const words = [...badge.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE);
  const word = words.map((node) => node.data.trim()).join('');
  if (!shape || !word) said.push(`a badge without shape or word: ${name(badge)}`);
  if ((shapes.get(shape) ?? badge.className) !== badge.className) {
    said.push(`one shape for two: ${name(badge)}`);
  }
  shapes.set(shape, badge.className);
}
// NiiVue sizes what it draws on by the style of the elements, which the policy allows scripts.
const inline = (e) => e.matches('style, script:not([src])')
  || (e.matches('[style]') && !e.closest('.scene'))
  || [...e.attributes].some((attribute) => attribute.name.startsWith('on'));
const found = [...document.querySelectorAll('*')].filter(inline);
said.push(...found.map((e) => `inline script or style: ${name(e)}`));
return said;
"""

# Everything that the keys must reach, and a note of each stop on the way.
STOPS = """
const inside = (e) => e.checkVisibility() && !e.disabled && e.type !== 'hidden';
const stops = 'a[href], button, input, select, textarea, summary, [tabindex="0"]';
window.stops = [...document.querySelectorAll(stops)].filter(inside);
window.reached = [];
document.addEventListener('focusin', (event) => {
  const style = getComputedStyle(event.target);
  window.reached.push({
    stop: window.stops.indexOf(event.target),
    seen: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0,
  });
});
document.activeElement.blur();
return window.stops.length;
"""
MISSED = """
const said = [];
const text = (e) => (e.textContent || e.name || e.href || e.id).trim().slice(0, 40);
const name = (e) => `${e.localName} "${text(e)}"`;
const reached = window.reached.map((r) => r.stop).filter((stop) => stop >= 0);
for (const [place, stop] of window.stops.entries()) {
  if (!reached.includes(place)) said.push(`Tab does not reach ${name(stop)}`);
}
for (const { stop, seen } of window.reached) {
  const at = stop < 0 ? 'something else' : name(window.stops[stop]);
  if (!seen) said.push(`the focus is not visible at ${at}`);
}
const first = reached.slice(0, new Set(reached).size);
if (first.some((stop, i) => i > 0 && stop < first[i - 1] && stop !== 0)) {
  said.push(`Tab goes to and fro: ${first}`);
}
return [...new Set(said)];
"""

# Of a picture, how many pixels are grey and how many are tinted.
PIXELS = """
const [png, done] = arguments;
const image = new Image();
image.onload = () => {
  const context = new OffscreenCanvas(image.width, image.height).getContext('2d');
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, image.width, image.height);
  let [grey, tinted] = [0, 0];
  for (let at = 0; at < data.length; at += 4) {
    const [red, green, blue] = data.subarray(at, at + 3);
    if (red > 60 && Math.max(Math.abs(red - green), Math.abs(red - blue)) < 12) grey += 1;
    if (red > blue + 60) tinted += 1;
  }
  done([grey, tinted]);
};
image.onerror = () => done([0, 0]);
image.src = `data:image/png;base64,${png}`;
"""

def axe_source():
    """axe-core, which lies beside a module that is not loaded."""
    folder = importlib.util.find_spec("axe_playwright_python").submodule_search_locations[0]
    return Path(folder, "axe.min.js").read_text()


class Browser:
    """One Chromium without a profile, out of reach of every address but the box's."""

    def __init__(self, url, folder, complaints, javascript=True):
        self.url, self.folder, self.complaints = url, Path(folder), complaints
        self.host = urlsplit(url).netloc
        self.language = "en"
        self.screenshots = self.volumes = 0
        options = webdriver.ChromeOptions()
        rules = f"MAP {REBOUND} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
        # There is no graphics card: WebGL is drawn by the processor.
        for argument in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage",
                         "hide-scrollbars", "enable-unsafe-swiftshader",
                         f"host-resolver-rules={rules}"):
            options.add_argument(f"--{argument}")
        if not javascript:
            content = "profile.managed_default_content_settings.javascript"
            options.add_experimental_option("prefs", {content: 2})
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        service = webdriver.ChromeService(shutil.which("chromedriver"))
        self.driver = webdriver.Chrome(options=options, service=service)
        self.driver.set_script_timeout(PATIENCE_S)
        # A window that is behind another shows no focus.
        self.driver.execute_cdp_cmd("Emulation.setFocusEmulationEnabled", {"enabled": True})
        self.axe = axe_source()
        self.resize(WIDTHS[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.driver.quit()

    def complain(self, where, what):
        self.complaints.append(f"{where} ({self.language}): {what}")

    def resize(self, width, scheme="light"):
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        colours = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": colours})

    def open(self, path):
        self.driver.get(self.url + path)

    @property
    def path(self):
        return urlsplit(self.driver.current_url).path

    def script(self, text, *arguments):
        return self.driver.execute_script(text, *arguments)

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector):
        """Of the first that fits, empty for none."""
        read = "return document.querySelector(arguments[0])?.textContent.trim() ?? ''"
        return self.script(read, selector)

    def until(self, what, condition):
        """Waits until `condition` gives something, and gives that."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            try:
                if found := condition():
                    return found
            except StaleElementReferenceException:
                pass
            time.sleep(0.02)
        self.picture("never")
        raise AssertionError(f"never: {what}; at {self.driver.current_url}: {self.text('main')}")

    def sees(self, selector):
        return self.until(f"{selector} in sight", lambda: self.all(selector))

    def link(self, selector):
        """Where the first that fits leads. Live rows may be replaced at any moment."""
        self.sees(selector)
        return self.script("return document.querySelector(arguments[0]).getAttribute('href')", selector)

    def sees_no(self, selector):
        self.until(f"no {selector}", lambda: self.all("main") and not self.all(selector))

    def speak(self, language):
        """As the form at the foot of each page does, which only those use who cannot read it."""
        cookie = {"name": "language", "value": language, "url": self.url}
        self.driver.execute_cdp_cmd("Network.setCookie", cookie)
        self.open("/login")
        self.language = language
        spoken = self.script("return document.documentElement.lang")
        if spoken != language:
            self.complain("login", f"is in {spoken!r}")

    def picture(self, name):
        answer = self.driver.execute_cdp_cmd(
            "Page.captureScreenshot", {"captureBeyondViewport": True, "optimizeForSpeed": True})
        path = self.folder / f"{self.language}-{name}.png"
        path.write_bytes(base64.b64decode(answer["data"]))
        self.screenshots += 1

    def drawn(self):
        """Grey and tinted pixels of what is drawn in three dimensions."""
        clip = self.script("""
            const box = document.getElementById('scene').getBoundingClientRect();
            const [x, y] = [box.x + scrollX, box.y + scrollY];
            return {x, y, width: box.width, height: box.height, scale: 1};
        """)
        answer = self.driver.execute_cdp_cmd(
            "Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True})
        return self.driver.execute_async_script(PIXELS, answer["data"])

    # Eyes.

    def look(self, name, schemes=("light",)):
        """Everything that a page must be, at every width and in these colours."""
        # What is folded must fit as well.
        self.script("""
            for (const folded of document.querySelectorAll('details')) folded.open = true;
            for (const image of document.images) image.loading = 'eager';
        """)
        for scheme in schemes:
            for width in WIDTHS:
                self.resize(width, scheme)
                where = f"{name}-{width}" + ("" if scheme == "light" else f"-{scheme}")
                for said in self.script(LAYOUT):
                    self.complain(where, said)
                self.picture(where)
            for said in self.axe_finds():
                self.complain(f"{name} in {scheme}", said)
        self.resize(WIDTHS[1])
        self.check_network(name)

    def axe_finds(self):
        self.script(self.axe)
        # The pseudo-locale is no language of anybody's.
        rules = {"target-size": {"enabled": True},
                 "html-lang-valid": {"enabled": self.language != PSEUDO}}
        found = self.driver.execute_async_script("""
            const [rules, done] = arguments;
            axe.run({resultTypes: ['violations'], rules}).then(
              (result) => done(result.violations), (why) => done([{id: String(why), nodes: []}]));
        """, rules)
        for one in found:
            nodes = [f"{n['html'][:160]} ({n['failureSummary']})" for n in one["nodes"][:3]]
            yield f"axe {one['id']}: {'; '.join(nodes)}"

    def check_keys(self, name):
        """Tab comes by everything, in the order of the page, and shows where it is."""
        for _ in range(3):
            count = self.script(STOPS)
            # The window itself may be a stop or two.
            ActionChains(self.driver).send_keys(Keys.TAB * (count + 4)).perform()
            missed = self.script(MISSED)
            if not missed:
                return
            # What is live may have been replaced meanwhile; what no key reaches stays so.
        for said in missed:
            self.complain(name, said)

    def check_network(self, name):
        """Nothing was refused by the policy, and nothing was asked of another host."""
        for entry in self.driver.get_log("browser"):
            # A page that says that it is none comes with the status for it.
            own = entry["message"].startswith(self.driver.current_url)
            if entry["level"] == "SEVERE" and not (own and "Failed to load" in entry["message"]):
                self.complain(name, entry["message"])
        for entry in self.driver.get_log("performance"):
            event = json.loads(entry["message"])["message"]
            if event["method"] == "Network.requestWillBeSent":
                address = urlsplit(event["params"]["request"]["url"])
                if address.scheme in ("http", "https", "ws", "wss") and address.netloc != self.host:
                    self.complain(name, f"a request to {address.geturl()}")
            elif event["method"] == "Network.responseReceived":
                response = event["params"]["response"]
                if urlsplit(response["url"]).netloc == self.host:
                    self.check_headers(name, response)

    def check_headers(self, name, response):
        headers = {key.lower(): value for key, value in response["headers"].items()}
        policy = headers.get("content-security-policy", "")
        directives = dict(part.strip().split(" ", 1) for part in policy.split(";") if part.strip())
        strict = ("default-src", "frame-ancestors", "base-uri")
        allowed = {"'none'", "'self'", "blob:"}
        if urlsplit(response["url"]).path.endswith("/volume"):
            allowed.add("data:")
        sources = {source for value in directives.values() for source in value.split()}
        if any(directives.get(key) != "'none'" for key in strict) or sources - allowed:
            self.complain(name, f"{response['url']} has the policy {policy!r}")
        if headers.get("x-content-type-options") != "nosniff":
            self.complain(name, f"{response['url']} may be taken for something else")


class Hands:
    """What they do, they do in one browser."""

    def __init__(self, browser):
        self.browser = browser

    def act(self):
        return ActionChains(self.browser.driver, duration=0)

    def write(self, text):
        """In place of what the field has."""
        keys = self.act().key_down(Keys.CONTROL).send_keys("a").key_up(Keys.CONTROL)
        keys.send_keys(text).perform()


class Mouse(Hands):
    """Hands on a mouse, which type where they clicked."""

    name = "mouse"

    def press(self, selector):
        browser = self.browser
        middle = """
            const e = document.querySelector(arguments[0]);
            e.scrollIntoView({block: 'center', behavior: 'instant'});
            const box = e.getClientRects()[0];
            const there = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
            return e.contains(there) ? [e, ''] : [e, there?.outerHTML ?? 'the edge of the window'];
        """

        def pressed():
            element, covered = browser.script(middle, selector)
            if covered:
                browser.complain(selector, f"is covered by {covered[:200]}")
            self.act().move_to_element(element).click().perform()
            return True

        browser.sees(selector)
        browser.until(f"a click on {selector}", pressed)

    def type(self, selector, text):
        self.press(selector)
        self.write(text)

    def pick(self, selector, value):
        options = self.browser.sees(f"{selector} option")
        next(one for one in options if one.get_property("value") == value).click()

    def open_first(self):
        """The study on top of the list."""
        self.press(".rows > li:first-child .patient a")

    def scroll_slices(self):
        """To the next slice or the one after."""
        picture = self.browser.sees("#picture")[0]
        origin = webdriver.common.actions.wheel_input.ScrollOrigin.from_element(picture)
        self.act().scroll_from_origin(origin, 0, 40).perform()


class WithoutScript(Mouse):
    """A mouse in a browser that runs no script."""

    name = "without-javascript"

    def scroll_slices(self):
        self.press("a[data-go=next]")


class Keyboard(Hands):
    """Hands that never touch the mouse."""

    name = "keyboard"

    def reach(self, selector):
        """Tab, as often as it takes."""
        self.browser.sees(selector)
        at = "return document.activeElement === document.querySelector(arguments[0])"
        for _ in range(400):
            if self.browser.script(at, selector):
                break
            self.act().send_keys(Keys.TAB).perform()
        else:
            raise AssertionError(f"Tab does not reach {selector} at {self.browser.path}")
        shown = "return getComputedStyle(document.activeElement).outlineStyle !== 'none'"
        self.browser.until(f"the focus seen at {selector}", lambda: self.browser.script(shown))

    def press(self, selector):
        self.reach(selector)
        is_link = self.browser.script("return document.activeElement.localName") == "a"
        self.act().send_keys(Keys.ENTER if is_link else Keys.SPACE).perform()

    def type(self, selector, text):
        self.reach(selector)
        self.write(text)

    def pick(self, selector, value):
        self.reach(selector)
        read = "return document.querySelector(arguments[0]).value"
        self.act().send_keys(Keys.HOME).perform()
        for _ in range(20):
            if self.browser.script(read, selector) == value:
                return
            self.act().send_keys(Keys.ARROW_DOWN).perform()
        raise AssertionError(f"{selector} has no {value}")

    def open_first(self):
        first = ".rows > li:first-child .patient a"
        self.browser.sees(first)
        self.act().send_keys("j").perform()
        at = "return document.activeElement === document.querySelector(arguments[0])"
        self.browser.until("J goes to the first study", lambda: self.browser.script(at, first))
        self.act().send_keys(Keys.ENTER).perform()

    def scroll_slices(self):
        self.reach("#picture")
        self.act().send_keys(Keys.ARROW_DOWN).perform()
