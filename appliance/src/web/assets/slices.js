// Scrolling through a series without loading the page at each slice. The page works without this;
// here are only the wheel, keys, dragging, and pictures fetched ahead.
"use strict";
(() => {
  const viewer = document.getElementById("viewer");
  if (!viewer) return;
  const find = (id) => document.getElementById(id);
  const { base, name, overlay } = viewer.dataset;
  const count = Number(viewer.dataset.count);
  const texts = viewer.dataset.texts.split("|");
  let slice = Number(viewer.dataset.slice);
  let wanted = viewer.dataset.window;
  let direction = 1;
  let dragging = false;
  // The slice that the picture and the words beside it are of.
  let shown = slice;

  // What the picture area shows: the image, or why there is none.
  const area = find("picture");
  let image = find("image") || area.appendChild(new Image(512, 512));
  const failed = find("failed") || area.appendChild(document.createElement("p"));
  failed.className = "failed";
  image.hidden = !image.getAttribute("src");
  failed.hidden = !image.hidden;
  image.draggable = false;

  // Pictures by address, the oldest first; more than a browser's six connections would only wait.
  const IN_FLIGHT = 6;
  const AHEAD = 16;
  const BEHIND = 6;
  const KEPT = 600;
  const kept = new Map();
  let inFlight = 0;

  const address = (n) => {
    const marked = overlay ? "&overlay=on" : "";
    return `${base}${n}.jpg?window=${wanted}${marked}&of=${count}`;
  };

  const reason = (text) => {
    const page = new DOMParser().parseFromString(text, "text/html");
    const said = page.querySelector("main p");
    return said ? said.textContent : viewer.dataset.failed;
  };

  // Ready to be drawn in the same frame in which it comes into the page.
  const decoded = async (src) => {
    const picture = new Image(512, 512);
    picture.id = "image";
    picture.draggable = false;
    picture.decoding = "sync";
    picture.src = src;
    await picture.decode();
    return picture;
  };

  const load = async (url) => {
    const entry = { done: false };
    kept.set(url, entry);
    inFlight += 1;
    try {
      const answer = await fetch(url, { credentials: "same-origin" });
      if (answer.ok) {
        entry.window = answer.headers.get("slice-window") || "";
        entry.src = URL.createObjectURL(await answer.blob());
        entry.image = await decoded(entry.src);
      } else {
        entry.failed = reason(await answer.text());
        // A box that is busy or out of reach may answer the next time.
        entry.passing = answer.status >= 500;
      }
    } catch {
      entry.failed = viewer.dataset.noAnswer;
      entry.passing = true;
    }
    entry.done = true;
    inFlight -= 1;
    if (url === address(slice)) show(entry);
    if (entry.passing) kept.delete(url);
    forget();
    // Not at once again while the box cannot answer.
    if (!entry.passing) pump();
  };

  const forget = () => {
    const now = address(slice);
    for (const [url, entry] of kept) {
      if (kept.size <= KEPT) break;
      if (!entry.done || url === now) continue;
      if (entry.src) URL.revokeObjectURL(entry.src);
      kept.delete(url);
    }
  };

  // The slice itself, then its neighbours, mostly ahead.
  const pump = () => {
    const places = [slice];
    if (!dragging) {
      for (let far = 1; far <= AHEAD; far += 1) {
        places.push(slice + direction * far);
        if (far <= BEHIND) places.push(slice - direction * far);
      }
    }
    for (const place of places) {
      if (inFlight >= IN_FLIGHT) return;
      if (place < 1 || place > count) continue;
      const url = address(place);
      if (!kept.has(url)) load(url);
    }
  };

  // Picture and words change in one step, or a finding would be placed on another slice.
  const show = (entry) => {
    if (!entry.failed) {
      image.replaceWith(entry.image);
      image = entry.image;
      image.alt = `${name}, ${texts[slice - 1]}`;
    }
    image.hidden = Boolean(entry.failed);
    failed.hidden = !entry.failed;
    failed.textContent = entry.failed || "";
    if (entry.window && find("now")) find("now").textContent = entry.window;
    find("text").textContent = texts[slice - 1];
    find("number").value = slice;
    shown = slice;
    mark();
  };

  // What is still there of another slice is dimmed. Another window of the same slice is no danger.
  const mark = () => {
    area.classList.toggle("loading", shown !== slice);
    area.setAttribute("aria-busy", String(shown !== slice));
  };

  const query = (url, changes) => {
    const there = new URL(url, location.href);
    for (const [key, value] of Object.entries(changes)) there.searchParams.set(key, value);
    return there.href;
  };

  let settled;
  const update = () => {
    const entry = kept.get(address(slice));
    if (entry && entry.done) show(entry);
    else mark();
    pump();
    // Addresses are for coming back; browsers refuse to be told of each slice of a quick scroll.
    clearTimeout(settled);
    settled = setTimeout(() => {
      history.replaceState(null, "", query(location.href, { slice, window: wanted }));
      for (const input of viewer.querySelectorAll("input[name=window]")) input.value = wanted;
      for (const link of viewer.querySelectorAll("a[data-keep]")) {
        const own = link.dataset.set ? {} : { window: wanted };
        link.href = query(link.href, { slice, ...own });
      }
    }, 200);
    for (const link of viewer.querySelectorAll("a[data-go]")) {
      const to = target(link.dataset.go);
      if (to === slice) {
        link.removeAttribute("href");
        link.setAttribute("aria-disabled", "true");
      } else {
        link.href = query(location.href, { slice: to, window: wanted });
        link.removeAttribute("aria-disabled");
      }
    }
  };

  const target = (way) => {
    const to = { first: 1, previous: slice - 1, next: slice + 1, last: count }[way];
    return Math.min(Math.max(to, 1), count);
  };

  const go = (to) => {
    const next = Math.min(Math.max(Math.round(to), 1), count);
    if (next === slice) return;
    direction = next > slice ? 1 : -1;
    slice = next;
    update();
  };

  // Centre and width that are shown now.
  const windowNow = () => {
    const numbers = find("now") ? find("now").textContent.split(",").map(Number) : [];
    return numbers.length === 2 && numbers.every(Number.isFinite) ? numbers : null;
  };
  const short = (value) => Number(value.toPrecision(4));
  const setWindow = (centre, width) => {
    wanted = `${short(centre)},${short(Math.max(width, 1e-6))}`;
    for (const link of viewer.querySelectorAll("a[data-set]")) link.removeAttribute("aria-current");
    update();
  };

  viewer.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    const link = event.target.closest("a");
    if (!link) return;
    if (link.dataset.go) {
      event.preventDefault();
      go(target(link.dataset.go));
    } else if (link.dataset.set) {
      const now = windowNow();
      const named = !link.dataset.set.includes(",");
      if (!named && !now) return;
      event.preventDefault();
      if (named) {
        wanted = link.dataset.set;
        for (const other of viewer.querySelectorAll("a[data-set]")) {
          other.removeAttribute("aria-current");
        }
        link.setAttribute("aria-current", "true");
        update();
      } else {
        const [shift, factor] = link.dataset.set.split(",").map(Number);
        setWindow(now[0] + shift * now[1], now[1] * factor);
      }
    }
  });

  find("jump").addEventListener("submit", (event) => {
    event.preventDefault();
    go(Number(find("number").value));
  });

  const KEYS = {
    ArrowUp: -1, ArrowLeft: -1, k: -1, K: -1, ArrowDown: 1, ArrowRight: 1, j: 1, J: 1,
    PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity,
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const here = document.activeElement;
    // Fields keep their keys; so do other parts of the page that were reached by keyboard.
    if (here !== document.body && here !== area) return;
    if (!(event.key in KEYS)) return;
    event.preventDefault();
    go(slice + KEYS[event.key]);
  });

  // A notch is a slice; touch pads send many small steps.
  let rolled = 0;
  area.addEventListener("wheel", (event) => {
    if (event.ctrlKey) return;
    event.preventDefault();
    const unit = event.deltaMode === 0 ? 1 : 40;
    rolled += event.deltaY * unit;
    const steps = Math.trunc(rolled / 40);
    if (steps !== 0) {
      rolled -= steps * 40;
      go(slice + (Math.abs(steps) > 3 ? Math.sign(steps) * 3 : steps));
    }
  }, { passive: false });

  // The mouse changes the window, a finger or pen scrolls.
  let start = null;
  let frame = 0;
  area.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !event.isPrimary) return;
    const mouse = event.pointerType === "mouse";
    const now = mouse ? windowNow() : null;
    if (mouse && !now) return;
    start = { x: event.clientX, y: event.clientY, mouse, now, slice };
    dragging = mouse;
    area.setPointerCapture(event.pointerId);
  });
  area.addEventListener("pointermove", (event) => {
    if (!start) return;
    const across = event.clientX - start.x;
    const down = event.clientY - start.y;
    if (!start.mouse) {
      // A series that is longer than the picture is high goes faster.
      const step = Math.max(2, Math.min(12, area.clientHeight / count));
      go(start.slice + down / step);
      return;
    }
    if (frame || (across === 0 && down === 0)) return;
    frame = requestAnimationFrame(() => {
      frame = 0;
      // One picture at a time while the mouse moves.
      if (!start || inFlight > 0) return;
      const [centre, width] = start.now;
      setWindow(centre + (down / 256) * width, width * Math.exp(across / 200));
    });
  });
  const end = (event) => {
    if (!start) return;
    const { mouse, now, x, y } = start;
    const across = event.clientX - x;
    const down = event.clientY - y;
    start = null;
    dragging = false;
    if (mouse && (across !== 0 || down !== 0)) {
      setWindow(now[0] + (down / 256) * now[1], now[1] * Math.exp(across / 200));
    }
  };
  area.addEventListener("pointerup", end);
  area.addEventListener("pointercancel", end);

  find("keys").hidden = false;
  area.focus({ preventScroll: true });
  pump();
})();
