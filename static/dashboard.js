// The dashboard's script: hears the gate's events with the token it was given, draws them, and does what it is told.
// It knows no more than the API tells it; every change goes there with the revision it was decided on.
(() => {
  "use strict";
  const at = (id) => document.getElementById(id);
  const KEPT = "gate:token";
  const SAMPLES_MAX = 900;
  const JUMP = 2; // more than this factor, up or down, asks again
  const number = new Intl.NumberFormat();
  const rough = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 3 });
  const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "short", timeStyle: "medium" });

  let token = sessionStorage.getItem(KEPT) || "";
  let chosen = sessionStorage.getItem("gate:room") || "";
  let gate = null; // the newest `gate` document
  let columns = [];
  let serviceRows = [];
  const samples = {}; // room: rows
  const records = {}; // room: entries, newest first
  let stream = null;
  let draft = null; // the rate being chosen, visitors a second; null while it follows the room
  let heardAt = 0;

  // -- words ---------------------------------------------------------------------------------------------------------

  function duration(seconds) {
    if (seconds === null || !Number.isFinite(seconds)) return "–";
    const whole = Math.round(seconds);
    if (whole < 60) return `${whole} s`;
    if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60 ? `${whole % 60} s` : ""}`.trim();
    return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  }

  function rateText(perSecond) {
    for (const [unit, seconds] of [["s", 1], ["min", 60], ["h", 3600]]) {
      const whole = Math.round(perSecond * seconds);
      if (whole > 0 && Math.abs(perSecond * seconds - whole) < 1e-6 * whole) return `${number.format(whole)}/${unit}`;
    }
    return `${rough.format(perSecond)}/s`;
  }

  // As it is typed and read back: no thousands apart, a full stop or a comma before decimals.
  function rateEntry(perSecond) {
    for (const [unit, seconds] of [["s", 1], ["min", 60], ["h", 3600]]) {
      const whole = Math.round(perSecond * seconds);
      if (whole > 0 && Math.abs(perSecond * seconds - whole) < 1e-6 * whole) return `${whole}/${unit}`;
    }
    return `${Number(perSecond.toPrecision(6))}/s`;
  }

  // "1.200" may be meant as twelve hundred or as one and a fifth: three digits behind a mark are not taken.
  function parseRate(text) {
    const form = /^\s*(\d+(?:[.,](?:\d{1,2}|\d{4,}))?)\s*(?:\/\s*(s|sec|second|m|min|minute|h|hour)\s*)?$/i.exec(text);
    if (!form) return null;
    const rate = Number(form[1].replace(",", ".")) / { s: 1, m: 60, h: 3600 }[(form[2] || "s")[0].toLowerCase()];
    return rate > 0 && rate <= 1e6 ? rate : null;
  }

  // The slider is logarithmic: 1/min at its left end, 5,000/s at its right.
  const LOW = Math.log(1 / 60);
  const HIGH = Math.log(5000);
  const toSlider = (rate) => Math.round((1000 * (Math.log(rate) - LOW)) / (HIGH - LOW));
  function fromSlider(value) {
    const rate = Math.exp(LOW + ((HIGH - LOW) * value) / 1000);
    const scale = rate < 1 ? 60 : 1; // under one a second people think in minutes
    const power = 10 ** Math.max(Math.floor(Math.log10(rate * scale)) - 1, 0);
    return (Math.max(Math.round((rate * scale) / power), 1) * power) / scale;
  }

  function set(id, text) {
    const element = at(id);
    if (element.textContent !== text) element.textContent = text;
  }

  function pill(id, text, level) {
    set(id, text);
    at(id).dataset.level = level;
  }

  function toast(text, level = "") {
    const element = at("toast");
    element.textContent = text;
    element.dataset.level = level;
    element.hidden = false;
    clearTimeout(toast.timer);
    toast.timer = setTimeout(() => { element.hidden = true; }, level ? 9000 : 4500);
  }

  // -- talking to the gate -------------------------------------------------------------------------------------------

  async function call(method, path, body, headers = {}) {
    const answer = await fetch(path, {
      method,
      cache: "no-store",
      headers: { Authorization: `Bearer ${token}`, ...(body ? { "Content-Type": "application/json" } : {}), ...headers },
      body: body ? JSON.stringify(body) : undefined,
    });
    const said = await answer.json().catch(() => ({}));
    if (answer.ok) return said;
    if (answer.status === 401) signOut("That token is not good here.");
    throw Object.assign(new Error(said.detail || said.title || `The gate answered ${answer.status}.`), { slug: said.type });
  }

  const path = (rest = "") => `/api/rooms/${encodeURIComponent(chosen)}${rest}`;

  // Do something to the room, and say what came of it.
  async function act(work, done) {
    try {
      const room = await work();
      if (room && room.room && gate) {
        gate.rooms = gate.rooms.map((other) => (other.room === room.room ? { ...other, ...room } : other));
        render();
      }
      toast(done(room));
      return room;
    } catch (error) {
      const stale = error.slug === "revision-stale";
      toast(stale ? "Somebody changed the room meanwhile. Look again, then decide." : error.message, "bad");
      if (stale) setDraft(null);
      return null;
    }
  }

  async function listen() {
    const mine = new AbortController();
    stream?.abort();
    stream = mine;
    while (!mine.signal.aborted && token) {
      try {
        const answer = await fetch("/api/events", {
          headers: { Authorization: `Bearer ${token}` }, cache: "no-store", signal: mine.signal,
        });
        if (answer.status === 401) return signOut("That token is not good here.");
        if (!answer.ok) throw new Error(`events ${answer.status}`);
        await read(answer.body.getReader());
      } catch {
        // the stream broke; it is opened again
      }
      if (mine.signal.aborted) return;
      pill("link", "reconnecting", "bad");
      for (const id of ["store", "workers", "canary"]) at(id).dataset.level = "";
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }

  async function read(reader) {
    const decoder = new TextDecoder();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      rest += decoder.decode(value, { stream: true });
      const blocks = rest.split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) {
        const name = /^event: (.*)$/m.exec(block);
        const data = /^data: (.*)$/m.exec(block);
        if (name && data) hear(name[1], JSON.parse(data[1]));
      }
    }
  }

  function hear(name, document) {
    heardAt = performance.now();
    if (name === "history") {
      columns = document.columns;
      for (const [room, rows] of Object.entries(document.rooms)) samples[room] = rows.map(named);
      if (gate && chosen) loadRecord(); // what happened while we were away
      serviceRows = document.service.rows.map((row) => zip(document.service.columns, row));
    }
    if (name === "gate") {
      gate = document;
      for (const [room, row] of Object.entries(document.samples)) append((samples[room] ??= []), named(row));
      if (document.service.time) append(serviceRows, document.service);
      chooseRoom();
      render();
    }
    if (name === "log") {
      const known = (records[document.room] ??= []);
      if (!known.some((entry) => entry.number === document.number)) known.unshift(document);
      if (document.room === chosen) renderRecord();
    }
  }

  const zip = (keys, values) => Object.fromEntries(keys.map((key, index) => [key, values[index]]));
  const named = (row) => zip(columns, row);

  function append(rows, row) {
    if (rows.length && row.time <= rows[rows.length - 1].time) return;
    rows.push(row);
    if (rows.length > SAMPLES_MAX) rows.splice(0, rows.length - SAMPLES_MAX);
  }

  // -- what is seen --------------------------------------------------------------------------------------------------

  const room = () => gate?.rooms.find((each) => each.room === chosen);
  const releases = (each) => each.mode === "auto" || each.mode === "closed";

  function chooseRoom() {
    const names = gate.rooms.map((each) => each.room);
    const select = at("room");
    if (select.options.length !== names.length || names.some((name, index) => select.options[index].value !== name)) {
      select.replaceChildren(...names.map((name) => new Option(name, name)));
    }
    if (!names.includes(chosen)) [chosen] = names;
    if (chosen && select.value !== chosen) select.value = chosen;
    if (chosen && !records[chosen]) loadRecord();
    if (chosen && !at("preview-state").options.length) offerPreviews();
  }

  function render() {
    const now = room();
    renderPills();
    if (!now) return;
    document.title = `${number.format(now.waiting)} waiting · ${now.room} · gate`;
    set("n-waiting", number.format(now.waiting));
    set("n-waiting-sub", now.oldest_wait ? `the first for ${duration(now.oldest_wait)}` : `${number.format(now.issued)} dealt in all`);
    set("n-last", now.mode === "off" ? "no line" : !now.waiting ? "nobody" : releases(now) ? duration(now.waiting / now.release_rate) : "held");
    set("n-last-sub", now.waiting && releases(now) ? `at ${rateText(now.release_rate)}` : "");
    set("n-rate", `${rough.format(now.measured_rate)}/s`);
    set("n-rate-sub", releases(now) ? `wanted ${rateText(now.release_rate)}` : now.mode === "off" ? "everybody passes" : `held; ${rateText(now.release_rate)} when resumed`);
    set("n-joins", `${rough.format(now.joins_per_second)}/s`);
    set("n-joins-sub", `${rough.format(now.claims_per_second)}/s come in`);
    set("n-active", number.format(now.active));
    set("n-active-sub", `${number.format(now.claimed)} came from the line${now.guests ? `, ${number.format(now.guests)} links` : ""}`);
    const { service } = gate;
    set("n-origin", service.origin_p95 === null || service.origin_p95 === undefined ? "–" : `${rough.format(service.origin_p95)} ms`);
    set("n-origin-sub", service.origin_errors ? `${rough.format(service.origin_errors)} errors/s` : `${rough.format(service.origin_rate || 0)} requests/s`);
    renderControls(now);
    const rows = samples[chosen] || [];
    for (const key of ["waiting", "rate", "flow", "served", "active"]) charts[key].show(rows);
    for (const key of ["origin", "errors", "store"]) charts[key].show(serviceRows);
  }

  function renderPills() {
    const { store, workers, canary } = gate;
    pill("link", "live", "good");
    pill("store", store.up ? "store answers" : `store silent for ${duration(store.silent)}`, store.up ? "good" : "bad");
    const whole = workers.serving === workers.wanted;
    pill("workers", `${workers.serving} of ${workers.wanted} workers${workers.restarts ? `, ${workers.restarts} replaced` : ""}`, whole ? "good" : "bad");
    at("canary").hidden = canary.runs === undefined;
    if (canary.runs !== undefined) pill("canary", canary.ok ? `canary ${rough.format(canary.turn_to_page)} s` : "canary failed", canary.ok ? "good" : "bad");
  }

  function renderControls(now) {
    set("mode", now.mode);
    at("mode").dataset.mode = now.mode;
    at("hold").disabled = now.mode === "hold";
    at("resume").disabled = now.mode === "auto";
    at("close-room").disabled = now.mode === "closed";
    if (draft === null) {
      at("rate-slider").value = toSlider(now.release_rate);
      if (document.activeElement !== at("rate-exact")) at("rate-exact").value = rateEntry(now.release_rate);
    }
    set("rate-now", rateText(now.release_rate));
    at("rate-slider").setAttribute("aria-valuetext", rateText(draft ?? now.release_rate));
    if (document.activeElement !== at("message") && !at("message").dataset.touched) at("message").value = now.message;
    renderEffect(now);
  }

  function renderEffect(now) {
    const same = draft === null || Math.abs(draft - now.release_rate) < 1e-9;
    at("rate-apply").disabled = same;
    if (!at("rate-exact").validity.valid) return;
    if (draft === null) return set("rate-effect", now.waiting ? `The last in line waits about ${duration(now.waiting / now.release_rate)}${releases(now) ? "" : " once resumed"}.` : "Nobody waits.");
    const change = `${rateText(now.release_rate)} → ${rateText(draft)}`;
    if (!now.waiting) return set("rate-effect", `${change}. Nobody waits.`);
    const was = duration(now.waiting / now.release_rate);
    set("rate-effect", `${change}. The last of ${number.format(now.waiting)} waits about ${was} → ${duration(now.waiting / draft)}.`);
  }

  async function loadRecord() {
    const name = chosen;
    records[name] = [];
    try {
      let after = Math.max((room()?.log_head?.number || 0) - 200, 0);
      const page = await call("GET", `${path("/log")}?after=${after}`);
      const known = new Set(records[name].map((entry) => entry.number));
      records[name].push(...page.entries.reverse().filter((entry) => !known.has(entry.number)));
      records[name].sort((a, b) => b.number - a.number);
    } catch {
      delete records[name]; // asked again with the next event
    }
    renderRecord();
  }

  function said(value) {
    if (value === null || value === undefined) return "none";
    if (typeof value === "string" && (!value || /\s/.test(value))) return `“${value}”`;
    return typeof value === "object" ? JSON.stringify(value) : String(value);
  }

  function changeText({ before, after }) {
    if (!before || !after) return "not readable";
    return [...new Set([...Object.keys(before), ...Object.keys(after)])]
      .map((key) => (key in before && key in after ? `${key} ${said(before[key])} → ${said(after[key])}` : `${key} ${said(key in after ? after[key] : before[key])}`)).join(", ");
  }

  function renderRecord() {
    const entries = records[chosen] || [];
    const body = at("log").tBodies[0];
    body.replaceChildren(...entries.slice(0, 200).map((entry) => {
      const row = document.createElement("tr");
      const when = entry.time === null ? "?" : moment.format(entry.time * 1000);
      for (const text of [String(entry.number), when, entry.actor ?? "?", entry.act ?? "?", changeText(entry)]) {
        row.insertCell().textContent = text;
      }
      return row;
    }));
    set("log-head", entries.length ? `head ${entries[0].hash.slice(0, 12)}…` : "");
  }

  // -- what is done --------------------------------------------------------------------------------------------------

  function ask({ title, text, yes, typed = "" }) {
    const dialog = at("confirm");
    set("confirm-title", title);
    set("confirm-text", text);
    set("confirm-yes", yes);
    at("confirm-yes").className = typed ? "danger" : "strong";
    at("confirm-typed-line").hidden = !typed;
    at("confirm-typed").value = "";
    at("confirm-typed-line").firstElementChild.textContent = `Type ${typed} to go on`;
    at("confirm-yes").disabled = Boolean(typed);
    at("confirm-no").onclick = () => dialog.close("no");
    at("confirm-typed").oninput = () => { at("confirm-yes").disabled = at("confirm-typed").value !== typed; };
    dialog.returnValue = "";
    dialog.showModal();
    return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
  }

  function setDraft(rate, from) {
    draft = rate;
    if (from !== "exact") at("rate-exact").setCustomValidity("");
    const now = room();
    if (!now) return;
    if (rate === null) at("rate-exact").value = rateEntry(now.release_rate);
    if (rate !== null && from !== "slider") at("rate-slider").value = toSlider(rate);
    if (rate !== null && from !== "exact") at("rate-exact").value = rateEntry(rate);
    renderControls(now);
  }

  at("rate-slider").addEventListener("input", (event) => setDraft(fromSlider(Number(event.target.value)), "slider"));
  at("rate-exact").addEventListener("input", (event) => {
    const rate = parseRate(event.target.value);
    event.target.setCustomValidity(rate === null ? "300/s, 30/min or a number of visitors a second" : "");
    if (rate !== null) setDraft(rate, "exact");
    else {
      draft = null;
      at("rate-apply").disabled = true;
      set("rate-effect", "A rate is 300/s, 30/min or a number of visitors a second.");
    }
  });
  at("rate-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const now = room();
    if (draft === null || !now) return;
    const wanted = draft;
    const factor = Math.max(wanted / now.release_rate, now.release_rate / wanted);
    if (factor > JUMP && !(await ask({
      title: `${rateText(now.release_rate)} → ${rateText(wanted)}?`,
      text: `That is ${rough.format(factor)} times ${wanted > now.release_rate ? "faster" : "slower"}. ${at("rate-effect").textContent}`,
      yes: `Set ${rateText(wanted)}`,
    }))) {
      toast(`${now.room} stays at ${rateText(now.release_rate)}.`);
      return setDraft(null);
    }
    const headers = { "If-Match": `"${now.revision}"` };
    if (await act(() => call("PATCH", path(), { release_rate: wanted }, headers), (after) => `${after.room}: ${rateText(after.release_rate)}`)) setDraft(null);
  });
  const mode = (wanted, words) => act(() => call("PATCH", path(), { mode: wanted }), words);
  at("hold").addEventListener("click", () => mode("hold", (after) => `${after.room} is held; ${number.format(after.waiting)} keep their places.`));
  at("resume").addEventListener("click", () => mode("auto", (after) => `${after.room} moves on at ${rateText(after.release_rate)}.`));
  at("close-room").addEventListener("click", async () => {
    const sure = await ask({ title: `Close ${chosen}?`, text: "Newcomers are turned away. Those in line are still let in.", yes: "Close" });
    if (sure) mode("closed", (after) => `${after.room} takes no newcomers.`);
  });
  at("message").addEventListener("input", () => { at("message").dataset.touched = "1"; });
  at("message-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const message = at("message").value;
    if (await act(() => call("PATCH", path(), { message }), () => (message ? "Everybody in line reads it within seconds." : "The message is gone."))) {
      delete at("message").dataset.touched;
    }
  });
  at("advance-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const by = Number(at("advance").value);
    const sure = by <= 100 || (await ask({ title: `Let ${number.format(by)} in now?`, text: "They come at once, past the rate.", yes: "Let in" }));
    if (sure) act(() => call("POST", path("/advance"), { by }), () => `Let in: up to ${number.format(by)} of those who wait.`);
  });
  at("reset").addEventListener("click", async () => {
    const now = room();
    const sure = await ask({
      title: `Reset ${chosen}?`,
      text: `${number.format(now.waiting)} lose their place and ${number.format(now.active)} their pass. This cannot be undone.`,
      yes: "Reset the line",
      typed: chosen,
    });
    if (!sure) toast(`${now.room} was not reset.`);
    if (sure) act(() => call("POST", path("/reset"), { confirm: now.room }), (after) => `${after.room} begins anew.`);
  });
  at("room").addEventListener("change", (event) => {
    chosen = event.target.value;
    sessionStorage.setItem("gate:room", chosen);
    delete at("message").dataset.touched;
    setDraft(null);
    if (!records[chosen]) loadRecord();
    renderRecord();
    render();
  });

  at("preview-form").addEventListener("submit", (event) => {
    event.preventDefault();
    showPreview();
  });
  at("preview-width").addEventListener("change", () => { at("preview").dataset.width = at("preview-width").value; });
  async function showPreview() {
    const state = at("preview-state").value || "waiting";
    const language = at("preview-language").value || "en";
    try {
      const made = await call("POST", path("/preview"), { state, language, ahead: Number(at("preview-ahead").value) });
      fillOptions("preview-state", made.states, state);
      fillOptions("preview-language", made.languages, language);
      at("preview").dataset.width = at("preview-width").value;
      at("preview").src = made.url;
      at("preview").hidden = false;
    } catch (error) {
      toast(error.message, "bad");
    }
  }
  async function offerPreviews() {
    at("preview-state").add(new Option("waiting", "waiting"));
    const made = await call("POST", path("/preview"), {}).catch(() => null);
    if (!made) return;
    fillOptions("preview-state", made.states, "waiting");
    fillOptions("preview-language", made.languages, "en");
  }
  function fillOptions(id, values, wanted) {
    if (at(id).options.length === values.length) return;
    const names = id === "preview-language" ? new Intl.DisplayNames(undefined, { type: "language" }) : null;
    at(id).replaceChildren(...values.map((value) => new Option(names ? names.of(value) : value, value)));
    at(id).value = wanted;
  }

  // -- in and out ----------------------------------------------------------------------------------------------------

  at("sign-in").addEventListener("submit", async (event) => {
    event.preventDefault();
    token = at("token").value.trim();
    set("sign-in-error", "");
    try {
      await call("GET", "/api/gate");
      sessionStorage.setItem(KEPT, token);
      at("token").value = "";
      open();
    } catch (error) {
      set("sign-in-error", error.message);
    }
  });
  at("sign-out").addEventListener("click", () => signOut(""));

  function signOut(why) {
    stream?.abort();
    token = "";
    sessionStorage.removeItem(KEPT);
    document.documentElement.dataset.view = "login";
    document.title = "gate";
    set("sign-in-error", why);
    at("token").focus();
  }

  async function open() {
    document.documentElement.dataset.view = "board";
    listen();
  }

  const charts = {
    waiting: new Chart(at("c-waiting"), [{ key: "waiting", label: "waiting", colour: "s1", fill: true }], { least: 3 }),
    rate: new Chart(at("c-rate"), [{ key: "measured", label: "measured", colour: "s1", fill: true }, { key: "wanted", label: "wanted", colour: "s2", dashed: true }], { unit: "/s", least: 0.5 }),
    flow: new Chart(at("c-flow"), [{ key: "joins", label: "joins", colour: "s1" }, { key: "claims", label: "claims", colour: "s3" }], { unit: "/s" }),
    served: new Chart(at("c-served"), [{ key: "issued", label: "dealt", colour: "s2" }, { key: "served", label: "serving", colour: "s1", fill: true }], { least: 3 }),
    active: new Chart(at("c-active"), [{ key: "active", label: "active", colour: "s3", fill: true }], { least: 3 }),
    origin: new Chart(at("c-origin"), [{ key: "origin_p50", label: "p50", colour: "s1" }, { key: "origin_p95", label: "p95", colour: "s2" }], { unit: " ms" }),
    errors: new Chart(at("c-errors"), [{ key: "origin_errors", label: "origin", colour: "s2" }, { key: "store_errors", label: "store", colour: "s1" }], { unit: "/s", least: 1 }),
    store: new Chart(at("c-store"), [{ key: "store_p95", label: "store", colour: "s1" }, { key: "overhead_p95", label: "gate adds", colour: "s3" }], { unit: " ms" }),
  };
  setInterval(() => {
    if (token && heardAt && performance.now() - heardAt > 5000) pill("link", "silent", "bad");
  }, 1000);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => gate && render());
  if (token) open();
  else signOut("");
})();
