// The waiting page's script: takes a place, follows the pointer, claims when served, goes where the visitor was going.
// It never decides anything: only the claim does. All texts come from the page's own catalogue.
(() => {
  "use strict";
  const root = document.documentElement;
  const { room, back, way } = root.dataset;
  const texts = JSON.parse(root.dataset.texts);
  const lang = root.lang;
  const plurals = new Intl.PluralRules(lang);
  // Dates and digits as this visitor's own region writes them, where it speaks the page's language.
  const region = navigator.language.split("-")[0] === lang ? navigator.language : lang;
  const number = new Intl.NumberFormat(region);
  const at = (id) => document.getElementById(id);
  const clock = () => performance.now() / 1000;
  const jitter = (seconds, share = 0.2) => seconds * (1 + share * (2 * Math.random() - 1));

  let place = null; // the status document of our ticket
  let pointer = null; // the newest pointer document, with `heard` on our own clock
  let failures = 0;
  let pendings = 0;
  let timer = 0;
  let busy = false;
  let told = "";
  let toldAt = -Infinity;

  // -- words ---------------------------------------------------------------------------------------------------

  const say = (key, n, shown = number.format(n)) =>
    (texts[key][plurals.select(n)] || texts[key].other).replace("{n}", shown);

  function waitText(low, high) {
    if (high <= 60) return texts.wait_soon;
    const [key, unit] = low >= 7200 ? ["wait_hours", 3600] : ["wait_minutes", 60];
    const least = Math.max(Math.floor(low / unit), 1);
    const most = Math.ceil(high / unit);
    return say(key, most, least === most ? number.format(most) : `${number.format(least)}–${number.format(most)}`);
  }

  function show(id, text) {
    const element = at(id);
    if (element && element.textContent !== text) element.textContent = text;
  }

  // A screen reader hears a change of state at once and progress at most twice a minute.
  function announce(text, urgent) {
    if (text === told || (!urgent && clock() - toldAt < 30)) return;
    told = text;
    toldAt = clock();
    show("live", text);
  }

  function setState(state, heading = texts[`heading_${state}`]) {
    const changed = root.dataset.state !== state;
    root.dataset.state = state;
    show("heading", heading);
    show("explanation", texts[`text_${state}`] || "");
    if (changed) announce(heading, true);
    const label = { lapsed: texts.again, served: texts.enter }[state];
    at("act").hidden = !label;
    show("act", label || "");
  }

  // -- arithmetic: the browser's half of core/estimate.py and core/line.py ------------------------------------------

  const newer = (a, b) => a.generation - b.generation || a.era - b.era || a.now_serving - b.now_serving;

  // Now serving as far as it may be worked out: by our own monotonic clock, and not past the lease.
  function serving() {
    const t = Math.min(pointer.time + clock() - pointer.heard, pointer.lease_until);
    return Math.max(pointer.now_serving,
      Math.floor(Math.min(pointer.issued, pointer.now_serving + pointer.release_rate * (t - pointer.at))));
  }

  function ahead() {
    if (place.era < pointer.era) return 0;
    const now = serving();
    if (place.era === pointer.era) return Math.max(place.position - now - 1, 0);
    const between = pointer.eras.filter(([era]) => era < place.era).reduce((sum, [, last]) => sum + last, 0);
    return pointer.issued - now + between + place.position - 1;
  }

  const served = () => place.era < pointer.era || (place.era === pointer.era && place.position <= serving());

  function pollSeconds() {
    const { min, max, fraction } = pointer.poll;
    if (document.hidden) return max;
    const rate = pointer.release_rate || pointer.resume_rate;
    return Math.min(Math.max(fraction * (ahead() + 1) / rate, min), max);
  }

  // -- what the visitor sees -------------------------------------------------------------------------------------

  function render() {
    const left = ahead();
    const held = pointer.mode === "hold";
    const next = left === 0 && !held;
    setState(held ? "held" : "waiting", next ? texts.heading_next : undefined);
    show("ahead", left ? say("ahead", left) : "");
    show("position", number.format(place.number));
    const seconds = pointer.release_rate ? (left + 1) / pointer.release_rate : null;
    show("wait", seconds === null ? texts.wait_unknown : waitText(seconds * 0.85, seconds * 1.25 + 5));
    if (pointer.message) show("message", pointer.message);
    const first = firstDistance(left);
    at("progress").value = 1000 * (1 - left / Math.max(first, 1));
    document.title = `(${number.format(left)}) ${at("site").textContent}`;
    announce(`${at("ahead").textContent}. ${texts.wait_label}: ${at("wait").textContent}`, false);
  }

  // The distance at which this ticket was first seen, so that the bar goes on after a reload.
  function firstDistance(left) {
    const key = `gate:${room}:${place.reference}`;
    try {
      const known = Number(localStorage.getItem(key)) || 0;
      if (left > known) localStorage.setItem(key, String(left));
      return Math.max(left, known);
    } catch {
      return left;
    }
  }

  function renderPlace() {
    const until = new Intl.DateTimeFormat(region, { dateStyle: "medium", timeStyle: "short" });
    show("safe", texts.safe.replace("{until}", until.format(new Date(place.kept_until * 1000))));
    show("turn-kept", say("turn_kept", Math.max(Math.round(place.claim_within / 60), 1)));
    show("reference", texts.reference.replace("{ref}", place.reference));
    at("notify").hidden = !("Notification" in window) || Notification.permission !== "default";
  }

  // -- talking to the gate ---------------------------------------------------------------------------------------

  const call = (verb, method = "POST", headers = {}) =>
    fetch(`/_gate/${verb}/${room}`, { method, headers, credentials: "same-origin", cache: "no-store" });

  const retryAfter = (answer, otherwise) => Number(answer.headers.get("Retry-After")) || otherwise;

  function again(seconds) {
    clearTimeout(timer);
    timer = setTimeout(step, Math.max(jitter(seconds), 0.25) * 1000);
  }

  // Back off from a gate that does not answer: doubling, jittered, at most the slowest poll.
  function failed() {
    failures += 1;
    at("offline").hidden = failures < 2;
    again(Math.min(2 ** Math.min(failures, 5), pointer ? pointer.poll.max : 30));
  }

  async function step() {
    if (busy) return;
    busy = true;
    try {
      await (place ? follow() : join());
    } catch {
      failed();
    } finally {
      busy = false;
    }
  }

  // What a room may ask of newcomers: a little work (a puzzle), and the word of somebody outside (a widget's token).
  const shown = {};

  async function join() {
    const answer = await call("join", "POST", shown);
    if (answer.status === 202) {
      delete shown["Gate-Proof"];
      const { challenge } = await answer.json();
      pendings += 1;
      if (pendings > 3) return setState("cookies");
      if (challenge) return work(challenge);
      return again(retryAfter(answer, 0.2));
    }
    delete shown["Gate-Verify"];
    pendings = 0;
    if (answer.status === 200) {
      place = await answer.json();
      pendings = failures = 0;
      at("offline").hidden = true;
      // Let in all along, but the form was sent from elsewhere and did not carry the pass: that must be read first.
      if (place.status === "admitted") return at("form-not-sent").textContent ? setState("served") : enter();
      // A ticket is made anew past half of its life, by asking for the same place again.
      place.anewAt = clock() + Math.max(place.kept_until - Date.now() / 1000, 60) / 2 + 30;
      renderPlace();
      return follow();
    }
    const problem = await answer.json().catch(() => ({}));
    const slug = problem.type;
    if (problem.verifier) return verify(problem.verifier);
    if (slug === "room-closed") setState("closed");
    else if (slug === "room-full") setState("full");
    else if (slug === "rate-limited") setState("busy");
    else setState("away");
    again(retryAfter(answer, 15));
  }

  async function work(challenge) {
    setState("working");
    const solver = new Worker(challenge.solver);
    const number = await new Promise((done, broken) => {
      solver.onmessage = ({ data }) => done(data);
      solver.onerror = broken;
      solver.postMessage(challenge);
    }).finally(() => solver.terminate());
    const { algorithm, challenge: hash, salt, signature } = challenge;
    shown["Gate-Proof"] = btoa(JSON.stringify({ algorithm, challenge: hash, number, salt, signature }));
    again(0);
  }

  // The provider's widget, in its own frame; whoever it knows sees nothing but a moment of it.
  async function verify({ provider, site_key, script }) {
    setState("verify");
    verify.count = (verify.count || 0) + 1;
    if (!window[provider]) {
      await new Promise((done, broken) => {
        const tag = Object.assign(document.createElement("script"), { src: script, onload: done, onerror: broken });
        document.head.append(tag);
      });
    }
    at("widget")?.remove();
    const widget = Object.assign(document.createElement("div"), { id: "widget" });
    at("explanation").after(widget);
    const token = await new Promise((done) => {
      window[provider].render(widget, { sitekey: site_key, callback: done, language: lang, hl: lang });
    });
    widget.remove();
    shown["Gate-Verify"] = token;
    // A token that was not taken is tried again, ever more slowly: the widget may find everybody a person at once.
    again(verify.count > 2 ? Math.min(2 ** verify.count, 30) : 0);
  }

  async function follow() {
    // Asked anew each time, or the browser's own cache would show the answer before last (stale-while-revalidate);
    // shared caches on the way go on answering, and an unchanged document is a 304.
    const answer = await fetch(`/_gate/now/${room}`, { cache: "no-cache" });
    if (!answer.ok) return failed();
    const fresh = { ...(await answer.json()), heard: clock() };
    failures = 0;
    at("offline").hidden = true;
    if (fresh.mode === "off") return enter();
    testify(fresh);
    if (!pointer || newer(fresh, pointer) > 0) pointer = fresh;
    // A little older: by way of a cache. Much older: the store's clock has stepped back, and this is the latest.
    else if (newer(fresh, pointer) === 0 && (fresh.time >= pointer.time || pointer.time - fresh.time > 60)) pointer = fresh;
    if (pointer.generation > place.generation) return startOver();
    if (served()) return turn();
    if (clock() > place.anewAt) return join();
    render();
    again(pollSeconds());
  }

  // The line was restored without our ticket: the gate is shown it once, while it still waits for such. At a random
  // moment in the first half of that time, so that all who were lost do not come at once.
  function testify(fresh) {
    if (!fresh.hold_until || testify.done === fresh.hold_until || fresh.generation !== place.generation) return;
    const ends = [[fresh.era, fresh.issued], ...fresh.eras];
    const known = place.era < fresh.era || ends.some(([era, last]) => era === place.era && place.position <= last);
    const left = fresh.hold_until - fresh.time;
    if (known) return;
    testify.done = fresh.hold_until;
    // Late is better than never: what is before that era may take longer than its hold.
    setTimeout(() => call("status", "GET").catch(() => {}), (Math.random() * Math.max(left, 1) * 1000) / 2);
  }

  function startOver() {
    place = null;
    setState("joining");
    again(1);
  }

  // Our turn. A hidden tab tells its owner and lets the place wait, but not until it lapses.
  async function turn() {
    setState("served");
    document.title = `★ ${texts.heading_served}`;
    at("progress").value = 1000;
    if (!document.hidden) return claim();
    notify();
    const left = place.claim_within - 60 - (clock() - (turn.since ??= clock()));
    if (left <= 0) return claim();
    again(Math.min(left, pointer.poll.max));
  }

  async function claim() {
    const answer = await call("claim", "POST", shown);
    delete shown["Gate-Verify"];
    if (answer.ok) return enter();
    if (answer.status === 403) {
      const { verifier } = await answer.json();
      if (verifier) return verify(verifier);
    }
    if (answer.status === 425) {
      render();
      return again(retryAfter(answer, 1));
    }
    if (answer.status === 410) return setState("lapsed");
    if (answer.status === 429) return startOver();
    failed();
  }

  function enter() {
    setState("served");
    // A form of this site, which hides where it was: the page before this one is it, with what was typed.
    if (way === "history" && history.length > 1) {
      setTimeout(() => location.replace(new URL(back, location.origin)), 2000);
      return history.back();
    }
    // With a fragment the same address would only scroll; without one it is fetched anew.
    if (location.hash && back === location.pathname + location.search) location.reload();
    else location.replace(new URL(back, location.origin));
  }

  function notify() {
    if (notify.done || !("Notification" in window) || Notification.permission !== "granted") return;
    notify.done = true;
    const note = new Notification(texts.heading_served, { body: at("site").textContent, tag: `gate-${room}` });
    note.onclick = () => { window.focus(); note.close(); };
  }

  // -- start -----------------------------------------------------------------------------------------------------

  at("act").addEventListener("click", () => {
    const state = root.dataset.state;
    if (state === "served") claim().catch(failed);
    if (state === "lapsed") startOver();
  });
  at("notify").addEventListener("click", async () => {
    const granted = (await Notification.requestPermission()) === "granted";
    at("notify").hidden = true;
    if (granted) announce(texts.notify_on, true);
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && root.dataset.state !== "lapsed") again(0.3);
  });
  const mark = at("reference").dataset.reference;
  if (mark) show("reference", texts.reference.replace("{ref}", mark));
  if (root.dataset.state !== "lapsed") step();
  else setState("lapsed");
})();
