"""The people who work with the box, in Chromium: every role's tasks by mouse, by keys alone and
without JavaScript, and every page in every language.

    drive.py URL DICOM_PORT SETUP_CODE STUDIES FOLDER

The box has a model and nothing else: no user, no study. It refuses to deliver each result once.
STUDIES is a folder with a folder of DICOM files for each study; screenshots go to FOLDER.
Prints one JSON object: what is wrong, and what was looked at.
"""

import faulthandler
import json
import re
import subprocess
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from chromium import PSEUDO, REBOUND, Browser, Keyboard, Mouse, WithoutScript

# Beside English.
LANGUAGES = ("fr", "es", "sw", "hi", PSEUDO)
PASSWORD = "four words in a row"

faulthandler.dump_traceback_later(540, exit=True)


@dataclass
class Person:
    name: str
    role: str
    password: str = PASSWORD


ADA = Person("Ada", "admin")


# Tasks. Selectors hold in every language: they go by addresses, names and values.


def set_up(hands, code):
    """The first user of a new box."""
    hands.browser.open("/")
    hands.type("#code", code)
    hands.type("#name", ADA.name)
    hands.type("#password", ADA.password)
    hands.press("main button")
    hands.browser.sees("nav a[href='/users']")


def log_in(hands, person, home="/"):
    browser = hands.browser
    browser.open("/login")
    hands.type("#name", person.name)
    hands.type("#password", person.password)
    hands.press("main button")
    browser.sees("form.who")
    if person.password != PASSWORD:
        hands.type("#present", person.password)
        person.password = PASSWORD
        hands.type("#new", PASSWORD)
        hands.type("#again", PASSWORD)
        hands.press("main button")
        browser.until("another page than that of the password", lambda: browser.path != "/account")
    browser.until(f"{home} after the login", lambda: browser.path == home)


def log_out(hands):
    hands.press("form.who button")
    hands.browser.sees("#password")


def add_user(hands, name, role):
    browser = hands.browser
    log_in(hands, ADA)
    hands.press("nav a[href='/users']")
    hands.type("#new-name", name)
    hands.pick("#new-role", role)
    hands.press("button[value=add]")
    browser.sees("code.secret")
    secret = browser.text("code.secret")
    log_out(hands)
    return Person(name, role, secret)


def read_urgent_study(hands, reader):
    """Finds what is urgent, scrolls through it, and reads why it is."""
    browser = hands.browser
    log_in(hands, reader)
    hands.press(".tabs a[href*='queue=urgent']")
    browser.sees(".tabs a[href*='queue=urgent'][aria-current]")
    hands.open_first()
    browser.sees("#findings")
    why = browser.text("section[aria-labelledby=findings]")
    if not re.search(r"\d\.\d\d", why) or not browser.all(".findings > li .badge"):
        browser.complain(hands.name, f"a study that does not say why it is urgent: {why}")
    study = browser.path
    hands.press(".strip li:first-child a")
    browser.sees("#image")
    first = browser.text("#text")
    hands.scroll_slices()
    browser.until("another slice", lambda: browser.text("#text") not in ("", first))
    shown = "const i = document.getElementById('image'); return i.complete && i.naturalWidth > 0"
    browser.until("its picture", lambda: browser.script(shown))
    hands.press(f"a[href^='{study}']")
    browser.until("the study again", lambda: browser.path == study)


def judge(hands):
    """Agrees, takes it back, disagrees for a reason of the list and for one of one's own."""
    browser = hands.browser
    finding = ".findings > li:first-child"
    agree, verdict = f"{finding} button[name=finding]", f"{finding} .verdict"
    take_back = f"{finding} button[name=decision]"
    hands.press(agree)
    browser.sees(verdict)
    hands.press(take_back)
    browser.sees(agree)
    hands.press(f"{finding} summary")
    hands.press(f"{finding} button[name=choice]")
    browser.sees(verdict)
    hands.press(take_back)
    browser.sees(agree)
    hands.press(f"{finding} summary")
    hands.type(f"{finding} input[name=text]", "seen on an older study")
    hands.press(f"{finding} input[name=text] + button")
    browser.sees(verdict)
    if "seen on an older study" not in browser.text(verdict):
        browser.complain(hands.name, f"the reason is not shown: {browser.text(verdict)}")
    hands.press(take_back)
    browser.sees(agree)


def finish(hands):
    """Changes the acuity, marks the study as done, opens it again, and takes the acuity back."""
    browser = hands.browser
    decide = "section[aria-labelledby=decide]"
    hands.press(f"{decide} summary")
    hands.type("#why", "known and operated")
    hands.press(f"{decide} button[value=low]")
    browser.sees(".study-head .badge.low")
    hands.press(f"{decide} button.main")
    browser.sees(f"{decide} input[value=reopen]")
    hands.press(f"{decide} input[value=reopen] + button")
    browser.sees(f"{decide} input[value=done]")
    for _ in browser.all("section[aria-labelledby=decisions] button[name=decision]"):
        if browser.all(".study-head .badge.high"):
            break
        before = browser.text("section[aria-labelledby=decisions]")
        hands.press("section[aria-labelledby=decisions] button[name=decision]")
        browser.until("one decision fewer",
                      lambda: browser.text("section[aria-labelledby=decisions]") != before)
    browser.sees(".study-head .badge.high")
    log_out(hands)


def deliver(hands, technologist):
    """A technologist sends a dead letter again and decides nothing."""
    browser = hands.browser
    log_in(hands, technologist)
    hands.open_first()
    browser.sees("#context-text")
    if browser.all("form[action$='/decide'], form[action$='/undo'] button"):
        browser.complain(hands.name, "a technologist is offered decisions")
    hands.press("nav a[href='/system']")
    letter = browser.sees("form[action^='/system/deliveries/']")[0]
    address = letter.get_dom_attribute("action")
    hands.press(f"form[action='{address}'] button")
    browser.sees_no(f"form[action='{address}']")
    log_out(hands)


def give_context(hands, technologist):
    browser = hands.browser
    log_in(hands, technologist)
    hands.open_first()
    hands.type("#context-text", "sudden severe headache")
    hands.press("section[aria-labelledby=context] button")
    browser.until("the context on the page", lambda: browser.path.startswith("/study/")
                  and browser.text("#context-text") == "sudden severe headache")
    log_out(hands)


def kill(hands, technologist, service):
    """Whoever is there throws the kill switch; service, which sees no patient, releases it."""
    browser = hands.browser
    log_in(hands, technologist)
    browser.sees(".rows > li.high")
    hands.press("nav a[href='/system']")
    hands.press("button[name=kill][value=true]")
    browser.sees_no("button[name=kill]")
    hands.press("nav a[href='/']")
    browser.sees(".rows > li")
    if browser.all(".rows > li.high"):
        browser.complain(hands.name, "a model that is switched off still says what is urgent")
    log_out(hands)
    log_in(hands, service, home="/system")
    if browser.all("a[href^='/study/'], nav a[href='/']"):
        browser.complain(hands.name, "service is led to patients")
    hands.press("button[name=kill][value=false]")
    browser.sees("button[name=kill][value=true]")
    log_out(hands)


# Pages.


def look_at_all(browser, schemes=("light",)):
    """Every page that an administrator has, and that of the login."""
    hands = Mouse(browser)
    log_in(hands, ADA)
    study = browser.link(".rows > li.high .patient a")
    browser.open(study)
    pictured = browser.link(".strip a")
    pages = {
        "worklist": "/", "urgent": "/?queue=urgent", "done": "/?queue=done",
        "search": "/?search=zz",
        "study": study, "slices": pictured, "system": "/system", "settings": "/settings",
        "quality": "/quality", "users": "/users",
        "account": "/account", "error": "/nothing",
    }  # fmt: skip
    for name, path in pages.items():
        browser.open(path)
        browser.look(name, schemes)
        if browser.language == "en":
            browser.check_keys(name)
    # Drawing takes a while; the longest words are those of the pseudo-locale.
    if browser.language in ("en", PSEUDO):
        look_at_volume(browser, study, schemes)
    browser.open("/")
    log_out(hands)
    browser.look("login", schemes)


def look_at_volume(browser, study, schemes):
    """A series in three dimensions, where the box has what draws it: with the places of its
    explanation, as long as it says beside them what they are."""
    browser.open(study)
    for link in [one.get_dom_attribute("href") for one in browser.all(".strip a[href$='/volume']")]:
        browser.open(link)
        if browser.all("#overlay"):
            break
    else:
        return
    browser.volumes += 1
    browser.sees("#volume[data-ready]")

    def warned():
        return browser.script("return document.getElementById('mark').checkVisibility()")

    def seen(least_grey, tinted):
        grey, warm = browser.drawn()
        return grey >= least_grey and (warm >= 20) == tinted and warned() == tinted

    browser.until("a series with tinted places", lambda: seen(2000, True))
    browser.look("volume", schemes)
    if browser.language == "en":
        browser.check_keys("volume")
    Mouse(browser).press("label.check")
    browser.until("a series without them", lambda: seen(2000, False))


def look_in(url, folder, complaints, languages):
    """All pages in some languages, in a browser of their own, which is returned."""
    with Browser(url, folder, complaints) as browser:
        for language in languages:
            browser.speak(language)
            look_at_all(browser)
        return browser


def prove(browser):
    """Each look finds what is planted for it."""
    browser.open("/login")
    kept, browser.complaints = browser.complaints, []
    browser.script("""
        const main = document.querySelector('main');
        const plant = (html) => main.insertAdjacentHTML('beforeend', html);
        plant('<div class="wide">wide</div><img src="http://elsewhere.example/x.png">');
        plant('<span class="badge high">HIGH</span><p onclick="x()">inline</p>');
        plant('<button tabindex="-1">passed by</button><button class="dark">dark</button>');
        document.querySelector('.dark').attributeStyleMap.set('outline-style', 'none');
        document.querySelector('.wide').attributeStyleMap.set('width', '3000px');
        document.head.append(Object.assign(document.createElement('script'), {text: 'x()'}));
    """)
    browser.check_keys("planted")
    browser.look("planted")
    found = "\n".join(browser.complaints)
    browser.complaints = kept
    for said in ("px wide", "px of content", "without shape", "moves the page", "inline script",
                 "axe image-alt", "Content Security Policy", "elsewhere.example",
                 'does not reach button "passed by"', 'not visible at button "dark"'):
        if said not in found:
            browser.complain("planted", f"{said!r} is not found in {found}")


def come_from_elsewhere(browser):
    """A page of another site can neither post to the box nor read it under a name of its own."""
    hands = Mouse(browser)
    log_in(hands, ADA)
    form = f"<form method=post action={browser.url}/logout><button>x</button></form>"
    browser.driver.get(f"data:text/html,{form}")
    hands.press("button")
    browser.until("a refusal", lambda: browser.path == "/logout" and browser.all("main h1"))
    browser.open("/")
    if not browser.all("form.who"):
        browser.complain("elsewhere", "another site logged the user out")
    browser.driver.get(browser.url.replace("127.0.0.1", REBOUND))
    if browser.all("form.who, #password") or not browser.all("main h1"):
        browser.complain("elsewhere", "the box answers to any name")


def send(port, studies):
    """As a scanner does; the last study once more, as another of the same patient."""
    folders = sorted(folder for folder in Path(studies).iterdir() if folder.is_dir())
    again = ["--invent-study", "1", "--invent-series", "1000"]
    for folder, options in [*((folder, []) for folder in folders), (folders[-1], again)]:
        command = ["storescu", "--call", "PRIMA", *options, "--scan-directories", "127.0.0.1", port]
        subprocess.run([*command, str(folder)], check=True, capture_output=True)
    return len(folders) + 1


def wait_for_results(browser, studies):
    """Until every study is analysed, one is explained, and every result was refused."""
    hands = Mouse(browser)
    log_in(hands, ADA)

    def there(path, selector, count):
        browser.open(path)
        return len(browser.all(selector)) >= count

    browser.until("results", lambda: there("/", ".rows .what", studies)
                  and len(browser.all(".rows .badge.unknown")) == 0)
    browser.until("dead letters", lambda: there("/system", "form[action^='/system/del']", studies))
    browser.open("/")
    study = browser.link(".rows > li.high .patient a")
    browser.until("an explanation", lambda: there(study, ".pictures img", 1))
    log_out(hands)


def work(url, port, code, studies, folder, complaints):
    """A box's first day; how many pictures were taken, and series drawn in three dimensions."""
    with (
        Browser(url, folder, complaints) as browser,
        Browser(url, folder, complaints, javascript=False) as plain,
        ThreadPoolExecutor(2) as pool,
    ):
        mouse, keyboard, without = Mouse(browser), Keyboard(browser), WithoutScript(plain)
        browser.open("/setup")
        browser.look("setup", ("light", "dark"))
        set_up(mouse, code)
        browser.look("empty", ("light", "dark"))
        browser.check_keys("empty")
        log_out(mouse)
        sent = pool.submit(send, port, studies)
        prove(browser)
        technologist = add_user(mouse, "Tomás", "tech")
        reader = add_user(keyboard, "Rhea", "reader")
        service = add_user(without, "Sven", "service")
        wait_for_results(browser, sent.result())

        halves = LANGUAGES[::2], LANGUAGES[1::2]
        looks = [pool.submit(look_in, url, folder, complaints, half) for half in halves]
        look_at_all(browser, ("light", "dark"))
        for hands, language in ((keyboard, "es"), (without, "hi"), (mouse, "fr")):
            hands.browser.speak(language)
            read_urgent_study(hands, reader)
            judge(hands)
            finish(hands)
            deliver(hands, technologist)
        # What the others look at must not change under their eyes.
        looks = [look.result() for look in looks]
        for hands, language in ((without, "sw"), (mouse, "en"), (keyboard, "en")):
            hands.browser.speak(language)
            give_context(hands, technologist)
            kill(hands, technologist, service)
        for used in (browser, plain):
            used.check_network("tasks")
        come_from_elsewhere(browser)
        used = [browser, *looks]
        return {"screenshots": sum(one.screenshots for one in used),
                "volumes": sum(one.volumes for one in used)}


def main(*arguments):
    complaints, counts = [], {"screenshots": 0, "volumes": 0}
    try:
        counts = work(*arguments, complaints)
    except Exception:  # What was found before is to be told as well.
        complaints.append(traceback.format_exc())
    return {"complaints": complaints, **counts}


print(json.dumps(main(*sys.argv[1:])))
