// ---- the data: rows of [speaker, start, end, label, text, probabilities, weights]; shares in thousandths

const data = JSON.parse(at("data").textContent);
const part = (thousandths) => (thousandths === null ? null : thousandths / 1000);
const utterances = data.utterances.map(([speaker, start, end, label, text, p, w], index) =>
  ({ index, speaker, start, end, label, text, p: p.map(part), w: w.map(part), shown: true }));
const speakerName = (speaker) => data.speakers[speaker] ?? "unknown";

function dot(label) {
  const element = make("span", "dot");
  element.style.setProperty("--colour", data.labels[label].colour ?? "var(--calm)");
  return element;
}

/** Let an element's bar show a share in the colour of a label. */
function setBar(element, label, share) {
  element.style.setProperty("--colour", data.labels[label].colour ?? "var(--weight)");
  element.style.setProperty("--share", share);
}

/** `joy 62 %` and so on, the most probable first. */
function shares({ p }, most, tag) {
  return p.map((_, k) => k).sort((a, b) => p[b] - p[a]).slice(0, most).map((k) => {
    const pair = make(tag, "pair");
    pair.append(dot(k), `${data.labels[k].name} ${percent(p[k])}`);
    return pair;
  });
}

/** Who said what, when, with which emotions. */
function describe(utterance) {
  const when = data.timed ? clock(utterance.start) : `utterance ${utterance.index + 1}`;
  const dots = make("div", "dots");
  dots.append(...shares(utterance, 3, "span"));
  return [make("div", "who", `${speakerName(utterance.speaker)} · ${when}`, { dir: "auto" }),
    make("div", "text", utterance.text, { dir: "auto" }), dots];
}

// ---- the header

function showSummary() {
  at("title").textContent = data.conversation;
  at("notice").textContent = data.notice;
  const length = data.duration === null
    ? ["Speech until", clock(greatest(utterances, (u) => u.end))] : ["Duration", clock(data.duration)];
  const facts = data.timed ? [length, ...data.facts] : data.facts;
  for (const [term, value] of facts) {
    const pair = make("div");
    pair.append(make("dt", "", term), make("dd", "", value, { dir: "auto" }));
    at("facts").append(pair);
  }
  at("timeline-note").textContent = [
    "Each utterance’s emotion, how probable each one was",
    data.modalities.length > 1 ? ", what each modality weighed (hatched: missing)" : "",
    data.timed ? "" : ". There are no times: utterances are spaced evenly, in their order",
    data.timed && data.placed ? `. Without a time of their own: ${plural(data.placed, "utterance")}, set by order` : "",
  ].join("");
  if (data.media && data.timed)
    at("transcript-note").textContent = "Choose an utterance to go there; press its time to play it";
}

/** A row of a table: its name, then cells of text. */
function makeLine(name, texts, tag, scope) {
  const line = make("tr");
  line.append(make("th", "", name, { scope, title: name, dir: "auto" }), ...texts.map((text) => make(tag, "", text)));
  return line;
}

function showCounts() {
  const table = make("table");
  const write = (name, { turns, seconds, labels }) => {
    const numbers = labels.map((count) => (count ? number(count) : "–"));
    const before = [number(turns), ...(data.timed ? [clock(seconds)] : [])];
    const line = makeLine(name, [...before, ...numbers], "td", "row");
    labels.forEach((count, k) => count && setBar(line.cells[1 + before.length + k], k, count / turns));
    return line;
  };
  const titles = ["Turns", ...(data.timed ? ["Time"] : []), ...data.labels.map((label) => label.name)];
  table.createTHead().append(makeLine("Speaker", titles, "th", "col"));
  table.createTBody().append(...data.speakers.map((_, speaker) => write(speakerName(speaker), data.counts[speaker])));
  if (data.speakers.length > 1) table.createTFoot().append(write("All", data.counts.at(-1)));
  at("counts").append(table);
}

// ---- the transcript: rows are made as they are needed, the rest when the browser is idle

const CHUNK = 100;
const rows = [];
let selected = -1; // the current utterance, chosen by hand or by the recording; -1 for none
let lastRow = null;
const detail = make("ul", "detail", "", { "aria-label": "Probabilities" });

function makeRow(utterance) {
  const row = at("row").content.firstElementChild.cloneNode(true);
  const [time, who, text, emotion] = row.children;
  const [name, share, bar] = emotion.children;
  time.textContent = data.timed ? clock(utterance.start) : String(utterance.index + 1);
  time.setAttribute("aria-label", data.timed ? `Play from ${time.textContent}` : `Utterance ${time.textContent}`);
  who.textContent = who.title = speakerName(utterance.speaker);
  who.classList.toggle("unknown", data.speakers[utterance.speaker] === null);
  text.textContent = utterance.text;
  name.textContent = data.labels[utterance.label].name;
  share.textContent = percent(utterance.p[utterance.label]);
  setBar(bar, utterance.label, utterance.p[utterance.label]);
  if (data.modalities.length > 1) row.append(makeWeights(utterance));
  row.hidden = !utterance.shown;
  return row;
}

function makeWeights(utterance) {
  const weights = make("span", "weights");
  weights.append(...data.modalities.map((modality, k) => {
    const weight = utterance.w[k];
    const words = weight === null ? `${modality} was missing` : `${modality} weighed ${percent(weight)}`;
    const attributes = { title: words, "aria-label": words, role: "img" };
    const name = make("span", weight === null ? "missing" : "", modality, attributes);
    name.style.setProperty("--share", weight ?? 0);
    return name;
  }));
  return weights;
}

/** Make rows in chunks; the browser neither styles nor lays out a chunk that is out of sight. */
function makeRowsUpTo(count) {
  while (rows.length < Math.min(count, utterances.length)) {
    const chunk = make("div", "chunk", "", { role: "none" });
    const fresh = utterances.slice(rows.length, rows.length + CHUNK).map(makeRow);
    rows.push(...fresh);
    chunk.append(...fresh);
    estimate(chunk);
    at("transcript").append(chunk);
  }
}

/** Tell the browser how many rows of a chunk are shown, so that it can guess the height of what it leaves out. */
function estimate(chunk) {
  chunk.style.setProperty("--rows", [...chunk.children].filter((row) => !row.hidden).length);
}

function makeTheRest() {
  if (rows.length === utterances.length) return void performance.mark("complete");
  (window.requestIdleCallback ?? setTimeout)(() => {
    makeRowsUpTo(rows.length + CHUNK);
    makeTheRest();
  });
}

/** Make an utterance the current one, here and on the timeline; -1 for none. */
function select(index, { focus = false, follow = false } = {}) {
  if (index !== selected) {
    // who has scrolled away from what is said now is left in peace
    const { top, bottom } = lastRow?.getBoundingClientRect() ?? { top: 0, bottom: 0 };
    const follows = follow && bottom > 0 && top < innerHeight;
    rows[selected]?.removeAttribute("aria-current");
    selected = index;
    timeline.mark(index);
    if (index >= 0) showCurrent(utterances[index]);
    if (follows && index >= 0) lastRow.scrollIntoView({ block: "nearest" });
  }
  if (index >= 0 && focus) {
    at("transcript").querySelector('[tabindex="0"]')?.setAttribute("tabindex", "-1");
    rows[index].tabIndex = 0;
    rows[index].focus({ preventScroll: true });
    rows[index].scrollIntoView({ block: "nearest" });
    timeline.reveal(utterances[index].start);
  }
}

function showCurrent(utterance) {
  makeRowsUpTo(utterance.index + 1);
  lastRow = rows[utterance.index];
  lastRow.setAttribute("aria-current", "true");
  detail.replaceChildren(...shares(utterance, data.labels.length, "li"));
  lastRow.append(detail);
  at("now").replaceChildren(...describe(utterance));
}

/** Go to the next shown utterance after the current one, or the one before it. */
function step(direction) {
  let index = selected < 0 && direction < 0 ? utterances.length : selected;
  do index += direction;
  while (utterances[index] && !utterances[index].shown);
  if (utterances[index]) select(index, { focus: true });
}

// ---- the recording

let media = null;

function showPlayer() {
  if (!data.media) return;
  const { kind, url, name } = data.media;
  media = make(kind, "", "", { controls: "", preload: "metadata", playsinline: "", "aria-label": `Recording ${name}` });
  media.addEventListener("error", () => {
    media = null;
    at("screen").replaceChildren(make("p", "note",
      `The recording ${name} could not be loaded. Put it beside this file to play it in step with the transcript.`));
  });
  for (const event of ["play", "seeked", "timeupdate"]) media.addEventListener(event, keepStep);
  media.src = url;
  at("screen").append(media);
  at("player").hidden = false;
  seek(0);
}

/** Move the playhead and the highlight with the recording, as often as the screen is drawn while it plays. */
function keepStep() {
  if (!media || !data.timed) return;
  const { currentTime: time, paused } = media;
  const chosen = paused && selected >= 0 && lasts(utterances[selected], time) ? utterances[selected] : undefined;
  const current = chosen ?? timeline.at(time);
  timeline.movePlayhead(time);
  if (current || !paused) select(current?.index ?? -1, { follow: !paused });
  if (paused) return;
  timeline.reveal(time);
  keepStep.frame ??= requestAnimationFrame(() => {
    keepStep.frame = undefined;
    keepStep();
  });
}

function seek(time) {
  if (!data.timed) return;
  timeline.movePlayhead(time);
  if (media) media.currentTime = time;
}

function play() {
  media?.play().catch(() => {}); // a browser may refuse to; the place is kept
}

function playFrom(utterance) {
  seek(utterance.start);
  if (data.timed) play();
}

// ---- filters: none pressed shows everything

const wanted = { speakers: new Set(), labels: new Set(), words: "" };

function makeChip(set, value, name, count, marks) {
  const chip = make("button", "chip", "", { type: "button", "aria-pressed": "false", title: name });
  const label = make("span", "label", name, { dir: "auto" });
  chip.append(...marks, label, make("span", "count", number(count)));
  chip.addEventListener("click", () => {
    if (!set.delete(value)) set.add(value);
    chip.setAttribute("aria-pressed", String(set.has(value)));
    applyFilters();
  });
  return chip;
}

function showFilters() {
  if (data.speakers.length > 1)
    at("speaker-filters").append(...data.speakers.map((_, speaker) =>
      makeChip(wanted.speakers, speaker, speakerName(speaker), data.counts[speaker].turns, [])));
  at("emotion-filters").append(...data.labels.map(({ name }, k) =>
    makeChip(wanted.labels, k, name, data.counts.at(-1).labels[k], [dot(k)])));
}

function applyFilters() {
  const fits = (set, value) => set.size === 0 || set.has(value);
  wanted.words = at("search").value.trim().toLowerCase();
  for (const u of utterances) {
    u.shown = fits(wanted.speakers, u.speaker) && fits(wanted.labels, u.label);
    u.shown &&= u.text.toLowerCase().includes(wanted.words);
    if (rows[u.index]?.hidden === u.shown) rows[u.index].hidden = !u.shown;
  }
  for (const chunk of at("transcript").children) estimate(chunk);
  const count = utterances.filter((u) => u.shown).length;
  const filtered = wanted.speakers.size || wanted.labels.size || wanted.words;
  at("shown").textContent = filtered ? `${number(count)} of ${number(utterances.length)}` : "";
  at("clear").hidden = !filtered;
  at("nothing").hidden = count > 0;
  timeline.redraw();
}

function clearFilters() {
  if (document.activeElement === at("clear")) at("search").focus(); // the button is about to go
  wanted.speakers.clear();
  wanted.labels.clear();
  at("search").value = "";
  for (const chip of document.querySelectorAll(".chip")) chip.setAttribute("aria-pressed", "false");
  applyFilters();
}

// ---- mouse and keys

const zoomIn = () => timeline.zoom(1.6);
const zoomOut = () => timeline.zoom(1 / 1.6);
const showHelp = () => at("help").showModal();
const KEYS = {
  j: () => step(1), k: () => step(-1),
  f: () => document.querySelector(".chip")?.focus(), "/": () => at("search").focus(),
  "+": zoomIn, "=": zoomIn, "-": zoomOut, 0: () => timeline.fit(), "?": showHelp, Escape: clearFilters,
};

function listen() {
  const click = (id, action) => at(id).addEventListener("click", action);
  click("zoom-in", zoomIn);
  click("zoom-out", zoomOut);
  click("zoom-fit", KEYS[0]);
  click("help-open", showHelp);
  click("clear", clearFilters);
  at("transcript").addEventListener("click", ({ target }) => {
    const index = rows.indexOf(target.closest(".row"));
    if (index < 0 || String(getSelection())) return; // words are being marked, no place is chosen
    select(index, { focus: true });
    if (target.closest(".time")) playFrom(utterances[index]);
    else seek(utterances[index].start);
  });
  at("search").addEventListener("input", applyFilters);
  const measure = () => document.body.style.setProperty("--bar", `${at("filters").offsetHeight}px`);
  new ResizeObserver(measure).observe(at("filters"));
  addEventListener("beforeprint", () => makeRowsUpTo(Infinity));
  document.addEventListener("keydown", onKey);
}

function onKey(event) {
  const { key, target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || at("help").open) return;
  if (target === at("search") && key !== "Escape") return;
  let action = KEYS[key.length === 1 ? key.toLowerCase() : key];
  if (!target.closest("button, summary, video, audio, a")) { // these have a use for the keys themselves
    if (key === " " && media) action = () => (media.paused ? play() : media.pause());
    if (key === "Enter" && selected >= 0) action = () => playFrom(utterances[selected]);
  }
  if (at("transcript").contains(target)) action ??= { ArrowDown: KEYS.j, ArrowUp: KEYS.k }[key];
  if (!action) return;
  event.preventDefault();
  action();
}

// ---- all together

showSummary();
showCounts();
showFilters();
const timeline = new Timeline(data, utterances, {
  describe,
  onPick(utterance, time) {
    if (utterance) select(utterance.index);
    seek(time);
  },
});
makeRowsUpTo(CHUNK);
if (rows.length) rows[0].tabIndex = 0;
showPlayer();
listen();
performance.mark("usable");
makeTheRest();
