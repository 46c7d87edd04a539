const MAX_LANES = 12; // further speakers share the last lane
const MAX_WIDTH = 8e6; // pixels that a browser can scroll through
const BIN = 5; // pixels that share one mean where utterances are narrower than that
const SECONDS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 36000];
const COUNTS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000];

/**
 * Lanes of speakers, probabilities and modality weights above one axis of time.
 *
 * The strip is as wide as the whole conversation and scrolls by itself; one canvas, as wide as the window, stays in
 * sight and shows the part that was scrolled to, so that the work does not grow with the zoom.
 */
class Timeline {
  /** `onPick(utterance | undefined, time)` is told of clicks; `describe(utterance)` gives the elements of a tip. */
  constructor(data, utterances, { onPick, describe }) {
    Object.assign(this, { data, utterances, onPick, describe, current: -1, time: null, left: 0, fitted: true });
    this.widths = {}; // of labels, in pixels
    for (const id of ["scroller", "strip", "canvas", "playhead", "gutter", "tip"]) this[id] = at(id);
    this.pen = this.canvas.getContext("2d");
    this.byTime = [...utterances].sort((a, b) => a.start - b.start || a.index - b.index);
    this.longest = Math.max(SHORTEST, greatest(utterances, (u) => u.end - u.start));
    const [first, last] = [this.byTime[0]?.start ?? 0, greatest(utterances, (u) => u.end)];
    this.from = first > last / 2 ? first : 0; // a clip out of a long recording need not start with a void
    this.to = Math.max(last, this.from + 0.5);
    this.arrange();
    this.listen();
    this.resize();
  }

  /** Vertical places of everything, and the names in the gutter beside them. */
  arrange() {
    const { speakers, modalities } = this.data;
    const lanes = Math.min(speakers.length, MAX_LANES);
    this.laneOf = (speaker) => Math.min(speaker, lanes - 1);
    this.lanes = { top: 34, count: lanes, step: lanes > 6 ? 26 : 38 };
    this.chart = { top: 56 + lanes * this.lanes.step, height: 132 };
    this.weights = { top: this.chart.top + this.chart.height + 38, count: modalities.length, step: 24 };
    if (modalities.length === 1) this.weights.count = 0; // it weighs everything, always
    this.height = this.weights.top + (this.weights.count ? this.weights.count * this.weights.step + 10 : -18);
    const middle = (band, row) => band.top + (row + 0.5) * band.step;
    const write = (text, kind, y) => {
      const name = make("span", kind, text, { title: text, dir: "auto" });
      name.style.top = `${y}px`;
      this.gutter.append(name);
    };
    speakers.slice(0, lanes).forEach((speaker, lane) => {
      const others = lane === MAX_LANES - 1 && speakers.length > MAX_LANES ? `${speakers.length - lane} others` : null;
      const kind = others || speaker === null ? "lane unknown" : "lane";
      write(others ?? speakerName(lane), kind, middle(this.lanes, lane));
    });
    write("Probability", "quiet", this.chart.top + this.chart.height / 2);
    for (const part of [0, 1]) write(percent(part), "tick", this.chart.top + (1 - part) * this.chart.height);
    if (this.weights.count) write("Weight of", "quiet", this.weights.top - 10);
    for (let row = 0; row < this.weights.count; row += 1)
      write(modalities[row], "quiet inner", middle(this.weights, row));
    this.strip.style.height = this.gutter.style.height = `${this.height}px`;
    this.canvas.setAttribute("aria-label", `Timeline of ${plural(this.utterances.length, "utterance")}: a lane for ` +
      "each speaker, the probability of each emotion, the weight of each modality. The transcript says it in words.");
  }

  listen() {
    new ResizeObserver(() => this.resize()).observe(this.scroller);
    this.scroller.addEventListener("scroll", () => this.redraw(), { passive: true });
    this.scroller.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY / 200), event.clientX - this.scroller.getBoundingClientRect().left);
    }, { passive: false });
    this.canvas.addEventListener("click", ({ offsetX, offsetY }) => {
      const utterance = this.hit(offsetX, offsetY);
      const inLanes = offsetY >= this.lanes.top && offsetY < this.chart.top - 8;
      this.onPick(utterance, inLanes && utterance ? utterance.start : Math.max(0, this.timeAt(offsetX)));
    });
    this.canvas.addEventListener("pointermove", (event) => this.showTip(event));
    this.canvas.addEventListener("pointerleave", () => (this.tip.hidden = true));
    for (const query of ["(prefers-color-scheme: dark)", "print"])
      matchMedia(query).addEventListener("change", () => this.draw());
  }

  // ---- time to pixels and back

  get fitScale() { return this.width / (this.to - this.from); }
  x(time) { return (time - this.from) * this.scale - this.left; }
  timeAt(x) { return this.from + (x + this.left) / this.scale; }

  resize() {
    this.width = this.scroller.clientWidth;
    this.setScale(this.fitted ? this.fitScale : this.scale);
  }

  setScale(pixelsPerUnit) {
    this.scale = Math.max(this.fitScale, Math.min(pixelsPerUnit, 400, MAX_WIDTH / (this.to - this.from)));
    this.fitted = this.scale <= this.fitScale * 1.001;
    this.strip.style.width = this.fitted ? "100%" : `${(this.to - this.from) * this.scale}px`;
    const density = window.devicePixelRatio || 1;
    for (const side of ["width", "height"]) {
      this.canvas.style[side] = `${this[side]}px`;
      this.canvas[side] = Math.round(this[side] * density);
    }
    this.pen.setTransform(density, 0, 0, density, 0, 0);
    this.movePlayhead(this.time);
    this.draw();
  }

  /** Zoom by a factor; what is at `x` stays there. */
  zoom(factor, x = this.width / 2) {
    const time = this.timeAt(x);
    this.setScale(this.scale * factor);
    this.scroller.scrollLeft = (time - this.from) * this.scale - x;
    this.draw();
  }

  fit() { this.setScale(this.fitScale); }

  // ---- what is where

  /** First place in `byTime` that starts at `time` or later. */
  place(time) {
    let [low, high] = [0, this.byTime.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.byTime[middle].start < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Utterances that touch the window, ascending by start. */
  visible() {
    const [left, right] = [this.timeAt(-4), this.timeAt(this.width + 4)];
    return this.byTime.slice(this.place(left - this.longest), this.place(right)).filter((u) => u.end >= left);
  }

  /** Who speaks at a time: the utterance that began last and still lasts, or undefined in silence. */
  at(time) {
    for (let i = this.place(time + 0.02) - 1; i >= 0 && this.byTime[i].start >= time - this.longest; i -= 1)
      if (lasts(this.byTime[i], time)) return this.byTime[i];
    return undefined;
  }

  /** The utterance under a point of the canvas: the nearest of the lane, or who speaks at that time. */
  hit(x, y) {
    if (y < this.lanes.top || y >= this.chart.top - 8) return this.at(this.timeAt(x));
    const lane = Math.floor((y - this.lanes.top) / this.lanes.step);
    const distance = (u) => Math.max(this.x(u.start) - x, x - this.x(u.end), 0);
    const near = this.visible().filter((u) => this.laneOf(u.speaker) === lane && distance(u) <= 4);
    return near.sort((a, b) => distance(a) - distance(b) || b.start - a.start)[0];
  }

  showTip({ offsetX, offsetY, clientX, clientY, pointerType }) {
    const utterance = pointerType === "touch" ? undefined : this.hit(offsetX, offsetY);
    this.tip.hidden = !utterance;
    if (!utterance) return;
    this.tip.replaceChildren(...this.describe(utterance));
    const { offsetWidth: width, offsetHeight: height } = this.tip;
    const top = clientY + 18 + height > innerHeight ? clientY - height - 12 : clientY + 18;
    this.tip.style.left = `${Math.max(8, Math.min(clientX + 12, innerWidth - width - 16))}px`;
    this.tip.style.top = `${Math.max(8, top)}px`;
  }

  /** Scroll so that the time is in sight, as when the recording plays on. */
  reveal(time) {
    const x = this.x(time);
    if (x < 0 || x > this.width) this.scroller.scrollLeft = this.left + x - this.width * 0.12;
  }

  movePlayhead(time) {
    this.time = time;
    this.playhead.hidden = time === null;
    this.playhead.style.transform = `translateX(${(time - this.from) * this.scale}px)`;
  }

  mark(index) {
    this.current = index;
    this.redraw();
  }

  // ---- drawing

  redraw() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = undefined;
      this.draw();
    });
  }

  draw() {
    const style = getComputedStyle(document.body);
    this.left = this.scroller.scrollLeft; // kept, since asking for it is slow
    this.tone = {};
    for (const name of ["ink", "muted", "line", "surface", "track", "weight", "calm", "accent"])
      this.tone[name] = style.getPropertyValue(`--${name}`).trim();
    this.colours = this.data.labels.map((label) => label.colour ?? this.tone.calm);
    this.inks = this.data.labels.map((label) => label.ink ?? this.tone.ink);
    this.font = (weight) => `${weight} 11px ${style.fontFamily}`;
    this.pen.clearRect(0, 0, this.width, this.height);
    const shown = this.visible();
    this.drawAxis();
    this.drawLanes(shown);
    this.drawChart(shown);
    this.drawWeights(shown);
  }

  line(...points) {
    this.pen.beginPath();
    for (const [x, y] of points) this.pen.lineTo(x, y);
    this.pen.stroke();
  }

  drawAxis() {
    const steps = this.data.timed ? SECONDS : COUNTS;
    let step = steps.find((s) => s * this.scale >= 76) ?? steps.at(-1);
    while (step * this.scale < 76) step *= 2; // however long it is, no more ticks than there is room for
    this.pen.font = this.font(400);
    this.pen.strokeStyle = this.tone.line;
    this.pen.fillStyle = this.tone.muted;
    for (let i = Math.ceil(this.timeAt(0) / step - 1e-6); i * step <= this.timeAt(this.width); i += 1) {
      const x = Math.round(this.x(i * step)) + 0.5;
      this.line([x, 22], [x, this.height]);
      const words = this.data.timed ? clock(i * step, step < 1) : String(i * step + 1);
      if (x + 5 + this.pen.measureText(words).width < this.width) this.pen.fillText(words, x + 5, 16);
    }
  }

  drawLanes(shown) {
    this.pen.font = this.font(600);
    for (let lane = 0; lane < this.lanes.count; lane += 1) {
      const y = Math.round(this.lanes.top + (lane + 0.5) * this.lanes.step) + 0.5;
      this.line([0, y], [this.width, y]);
    }
    const next = {}; // by lane: where the block to the right begins
    for (const u of shown.toReversed()) {
      const [lane, left] = [this.laneOf(u.speaker), this.x(u.start)];
      if (next[lane] - left < 0.7) continue; // on the same pixel
      this.drawBlock(u, next[lane] ?? this.width);
      if (u.shown) next[lane] = left;
    }
    const current = this.utterances[this.current];
    if (current && shown.includes(current)) this.drawBlock(current, 0); // once more, above its neighbours
  }

  /** One utterance, its label inside it, or beside it where there is room before `next`. */
  drawBlock(u, next) {
    const { pen, tone } = this;
    const { name, colour } = this.data.labels[u.label];
    const [left, right] = [this.x(u.start), this.x(u.end)];
    const width = Math.max(right - left - (right - left > 4 ? 1 : 0), 2); // a hair apart, none too thin to see
    const [y, height] = [this.lanes.top + this.laneOf(u.speaker) * this.lanes.step + 6, this.lanes.step - 12];
    const box = (margin, radius) => {
      pen.beginPath();
      pen.roundRect(left - margin, y - margin, width + 2 * margin, height + 2 * margin, radius);
    };
    pen.globalAlpha = u.shown ? 1 : 0.13;
    pen.fillStyle = this.colours[u.label];
    if (width < 5) pen.fillRect(left, y, width, height); // far quicker where there are thousands
    else {
      box(0, 4);
      pen.fill();
    }
    if (u.index === this.current) {
      [pen.strokeStyle, pen.lineWidth] = [tone.accent, 2];
      box(2.5, 6);
      pen.stroke();
      pen.lineWidth = 1;
    }
    const room = (this.widths[name] ??= pen.measureText(name).width) + 12;
    const inside = Math.max(left, 0);
    const fits = right - inside > room;
    if (u.shown && (fits || (colour && next - right > room))) {
      const x = fits ? inside + 6 : left + width + 6;
      pen.fillStyle = tone.surface;
      if (!fits) pen.fillRect(x - 3, y + 2, room - 6, height - 4); // the lane's line does not strike the word out
      pen.fillStyle = fits ? this.inks[u.label] : tone.muted;
      pen.fillText(name, x, y + height / 2 + 4);
    }
    pen.globalAlpha = 1;
  }

  /**
   * Runs of plateaus { x0, x1, p } to be joined into areas: one an utterance, or, where it is crowded, one mean for
   * each BIN pixels. Silence of more than a few pixels ends a run.
   */
  plateaus(shown, crowded) {
    const runs = [];
    let last;
    shown.forEach((u, i) => {
      if (!u.shown) return;
      const x0 = this.x(u.start);
      const x1 = Math.max(x0 + 1, Math.min(this.x(u.end), shown[i + 1] ? this.x(shown[i + 1].start) : Infinity));
      if (crowded && last && x0 < last.x0 + BIN) {
        last.count += 1;
        last.p = last.p.map((value, k) => value + (u.p[k] - value) / last.count);
        return;
      }
      if (!last || x0 - last.x1 >= 7) runs.push([]);
      runs.at(-1).push((last = { x0, x1, p: u.p, count: 1 }));
    });
    return runs;
  }

  drawChart(shown) {
    const { pen, chart: { top, height } } = this;
    const crowded = shown.length > this.width / BIN;
    const runs = this.plateaus(shown, crowded).map((run) => run.map(({ x0, x1, p }) => {
      const whole = p.reduce((sum, part) => sum + part, 0) || 1;
      let sum = 0;
      return { x0, x1, y: [0, ...p].map((part) => top + height * (1 - (sum += part) / whole)) };
    }));
    const edge = (run, k) => run.flatMap(({ x0, x1, y }) => [[x0, y[k]], [x1, y[k]]]);
    pen.strokeStyle = this.tone.surface; // thin seams tell neighbouring colours apart
    for (const run of runs) {
      this.colours.forEach((colour, k) => {
        pen.fillStyle = colour;
        pen.beginPath();
        for (const [x, y] of [...edge(run, k + 1), ...edge(run, k).reverse()]) pen.lineTo(x, y);
        pen.fill();
      });
      for (let k = 1; k < this.colours.length && !crowded; k += 1) this.line(...edge(run, k));
    }
    pen.strokeStyle = this.tone.line;
    pen.strokeRect(-1, top - 0.5, this.width + 2, height + 1);
  }

  drawWeights(shown) {
    const { pen, weights, tone } = this;
    const height = weights.step - 7;
    const hatch = this.hatch();
    for (let row = 0; row < weights.count; row += 1) {
      const y = weights.top + row * weights.step + 3;
      let last = -Infinity;
      for (const u of shown) {
        const [left, width, part] = [this.x(u.start), Math.max((u.end - u.start) * this.scale - 1, 1), u.w[row] ?? 1];
        if (left - last < 0.7) continue; // on the same pixel
        last = left;
        pen.globalAlpha = u.shown ? 1 : 0.13;
        pen.fillStyle = tone.track;
        pen.fillRect(left, y, width, height);
        pen.fillStyle = u.w[row] === null ? hatch : tone.weight;
        pen.fillRect(left, y + height * (1 - part), width, height * part);
      }
    }
    pen.globalAlpha = 1;
  }

  /** Slanted lines: a modality that was not there. */
  hatch() {
    const tile = make("canvas", "", "", { width: 6, height: 6 });
    const pen = tile.getContext("2d");
    [pen.fillStyle, pen.strokeStyle] = [this.tone.surface, this.tone.weight];
    pen.fillRect(0, 0, 6, 6);
    for (const shift of [-6, 0, 6]) {
      pen.moveTo(shift, 6);
      pen.lineTo(shift + 6, 0);
    }
    pen.stroke();
    return this.pen.createPattern(tile, "repeat");
  }
}
