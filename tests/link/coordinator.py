"""The coordinator of a referral hospital in Chromium: logs in, takes a password of their own, finds
the referral of one clinic, looks at every page on a telephone and on a large screen with axe-core,
and accepts.

    coordinator.py URL SCREENSHOTS NAME PASSWORD SITE
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "browser"))
from chromium import Browser, Mouse  # noqa: E402

OWN = "a password of their own"


def main():
    url, folder, name, password, site = sys.argv[1:]
    complaints = []
    with Browser(url, folder, complaints) as browser:
        hands = Mouse(browser)
        browser.open("/")
        browser.look("login")
        hands.type("#name", name)
        hands.type("#password", password)
        hands.press("main form button")
        browser.sees("#present")
        browser.look("account")
        hands.type("#present", password)
        hands.type("#new", OWN)
        hands.type("#again", OWN)
        hands.press("main form button")
        browser.until("the inbox", lambda: browser.open("/") or browser.all("#state"))
        browser.look("inbox")
        browser.open(f"/?site={site}")
        browser.open(browser.link("main a[href^='/referral/']"))
        hands.press("details summary")
        browser.look("referral")
        browser.open(browser.path)
        hands.press("details summary")
        hands.type("#accept-note", "Bring her tonight.")
        hands.type("#accept-actions", "Nil by mouth")
        hands.press("button[value=accept]")
        browser.until("accepted", lambda: "accepted, with" in browser.text("main"))
        browser.look("accepted")
        for page in ("sites", "quality", "systems"):
            browser.open(f"/{page}")
            browser.look(page)
        screenshots = browser.screenshots
    print(json.dumps({"complaints": complaints, "screenshots": screenshots}))


main()
