// What is new, shown without loading the page again. The page works without this; then the browser
// loads the worklist again now and then.
"use strict";
(() => {
  const find = (id) => document.getElementById(id);
  const list = find("live-list");
  const study = find("live-study");
  if (!list && !study) return;

  // How often the page asks for itself: without a stream, and with one, because "5 min ago" grows
  // old as well.
  const POLL_MS = 20000;
  const LIVE_MS = 60000;
  // Between two times that it asks, however fast events come.
  const PAUSE_MS = 2000;
  // Until a stream is asked for again that was refused.
  const RETRY_MS = 60000;

  let seen = (list || study).dataset.changed;
  let stream = null;
  let live = false;

  const listen = () => {
    if (stream || document.hidden) return;
    const opened = new EventSource(`/events?after=${seen}`);
    stream = opened;
    opened.addEventListener("open", () => became(true));
    opened.addEventListener("error", () => {
      // The browser itself tries again after a connection that broke, not after a refusal.
      if (opened.readyState === EventSource.CLOSED) {
        close();
        setTimeout(listen, RETRY_MS);
      }
      became(false);
    });
    opened.addEventListener("study", (event) => {
      if (study && (event.data === study.dataset.study || event.data === "any")) tell();
    });
    opened.addEventListener("worklist", (event) => {
      seen = event.lastEventId;
      if (list) look();
    });
  };

  const close = () => {
    if (stream) stream.close();
    stream = null;
  };

  const became = (now) => {
    live = now;
    if (list) {
      say();
      plan();
    }
  };

  // A browser opens six connections to a box: tabs that nobody sees leave theirs to others.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      close();
      return;
    }
    listen();
    if (list) look();
  });

  // A study page is not changed under the reader's hands, who may be typing.
  const tell = () => {
    if (study.firstChild) return;
    const button = document.createElement("button");
    button.textContent = study.dataset.new;
    button.addEventListener("click", () => location.reload());
    study.append(button);
  };

  // The worklist.

  let fresh = null;
  let answers = true;
  let looking = false;
  let again = false;
  let looked = 0;
  let planned = 0;

  // The page brings the words, in the reader's language.
  const words = (list ? find("live") : study).dataset;

  const say = () => {
    const state = find("live-state");
    state.classList.toggle("broken", !live);
    const polls = words.polls?.replace("#", POLL_MS / 1000);
    state.textContent = live ? words.yes : answers ? polls : words.silent;
    find("live").hidden = false;
  };

  const plan = () => {
    clearTimeout(planned);
    planned = setTimeout(look, live ? LIVE_MS : POLL_MS);
  };

  const look = async () => {
    if (document.hidden) return;
    again = true;
    if (looking) return;
    looking = true;
    while (again) {
      const pause = looked + PAUSE_MS - Date.now();
      if (pause > 0) await new Promise((resolve) => setTimeout(resolve, pause));
      again = false;
      looked = Date.now();
      await ask();
    }
    looking = false;
    plan();
  };

  const ask = async () => {
    try {
      const answer = await fetch(location.href, { credentials: "same-origin" });
      if (answer.redirected) {
        // To the login.
        location.reload();
        return;
      }
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      answers = answer.ok && page.getElementById("live-list") !== null;
      if (answers) fresh = page;
    } catch {
      answers = false;
    }
    if (!live) say();
    if (answers) offer();
  };

  // Rows by the address of their study, without the times, which always differ.
  const rows = (root, selector) => {
    const found = new Map();
    for (const item of root.querySelectorAll(selector)) {
      const copy = item.cloneNode(true);
      for (const time of copy.querySelectorAll("time, .ago")) time.remove();
      found.set(item.querySelector("a").getAttribute("href"), copy.textContent);
    }
    return found;
  };

  const news = () => {
    const changed = new Set();
    for (const selector of ["#latest li", "#list .rows > li"]) {
      const before = rows(document, selector);
      const after = rows(fresh, selector);
      for (const [study, text] of after) if (before.get(study) !== text) changed.add(study);
      if (selector.startsWith("#latest")) continue;
      for (const study of before.keys()) if (!after.has(study)) changed.add(study);
    }
    return changed.size;
  };

  // Rows stay where they are while somebody points at them or goes through them by keys.
  const inUse = () => list.matches(":hover") || list.contains(document.activeElement);

  const button = document.createElement("button");
  button.addEventListener("click", () => show());

  const offer = () => {
    if (!inUse()) {
      show();
      return;
    }
    const count = news();
    if (count === 0) {
      button.remove();
      return;
    }
    button.textContent = words.new.replace("#", count);
    if (!button.isConnected) find("live-news").append(button);
  };

  const show = () => {
    button.remove();
    if (!fresh) return;
    for (const id of ["latest", "tabs", "list", "as-of"]) {
      find(id).replaceChildren(...fresh.getElementById(id).childNodes);
    }
    fresh = null;
  };

  const KEYS = { j: 1, J: 1, k: -1, K: -1 };
  const pressed = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const here = document.activeElement;
    if (here.closest("input, textarea, select")) return;
    if (event.key === "Escape" && list.contains(here)) here.blur();
    if (!(event.key in KEYS)) return;
    const links = [...list.querySelectorAll("#list .patient a")];
    if (links.length === 0) return;
    event.preventDefault();
    const at = links.indexOf(here);
    const to = at < 0 ? 0 : Math.min(Math.max(at + KEYS[event.key], 0), links.length - 1);
    links[to].focus();
  };

  if (list) {
    // Later than the event, when the browser knows where the pointer and the focus are now.
    const left = () => setTimeout(() => { if (!inUse()) show(); }, 100);
    list.addEventListener("pointerleave", left);
    list.addEventListener("focusout", left);
    document.addEventListener("keydown", pressed);
    find("live-keys").hidden = false;
    plan();
  }
  listen();
})();
