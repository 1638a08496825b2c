// A small line chart on a canvas: at most the last quarter of an hour, one or two series, a crosshair by mouse, touch or
// arrow keys, and words for those who do not see it. Colours come from the page's own variables.
(() => {
  "use strict";
  const SPAN_MAX_SECONDS = 900;
  const SPAN_MIN_SECONDS = 120;
  const PAD = { top: 8, right: 10, bottom: 20, left: 46 };

  const compact = new Intl.NumberFormat(undefined, { notation: "compact", maximumSignificantDigits: 3 });
  const full = new Intl.NumberFormat(undefined, { maximumFractionDigits: 2 });
  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
  const exact = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

  // The smallest of 1, 2, 5 × 10ⁿ steps that gives at most four lines.
  function step(most) {
    const raw = most / 3;
    const power = 10 ** Math.floor(Math.log10(raw));
    return power * [1, 2, 5, 10].find((factor) => factor * power >= raw);
  }

  class Chart {
    // series: [{ key, label, colour (a variable's name), fill, dashed }]; least: what the scale reaches at least
    constructor(canvas, series, { unit = "", least = 1 } = {}) {
      Object.assign(this, { canvas, series, unit, least, rows: [], at: null });
      this.legend = document.createElement("span");
      canvas.previousElementSibling.append(this.legend);
      canvas.setAttribute("role", "img");
      const move = (event) => {
        const box = canvas.getBoundingClientRect();
        this.pick((event.clientX - box.left - PAD.left) / (box.width - PAD.left - PAD.right));
      };
      canvas.addEventListener("pointermove", move);
      canvas.addEventListener("pointerdown", move);
      canvas.addEventListener("pointerleave", () => this.pick(null));
      canvas.addEventListener("blur", () => this.pick(null));
      canvas.addEventListener("keydown", (event) => {
        const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
        if (!by || !this.rows.length) return;
        event.preventDefault();
        const now = this.at === null ? this.rows.length - 1 : this.at + by * (event.shiftKey ? 60 : 1);
        this.at = Math.min(Math.max(now, 0), this.rows.length - 1);
        this.draw();
      });
      new ResizeObserver(() => this.draw()).observe(canvas);
    }

    // rows: objects with `time` (Unix seconds) and the series' keys, oldest first
    show(rows) {
      this.rows = rows;
      const known = rows.length ? rows[rows.length - 1].time - rows[0].time : 0;
      this.span = Math.min(Math.max(known, SPAN_MIN_SECONDS), SPAN_MAX_SECONDS);
      if (this.at !== null && this.at >= rows.length) this.at = null;
      this.draw();
    }

    pick(share) {
      if (share === null || !this.rows.length) this.at = null;
      else {
        const end = this.rows[this.rows.length - 1].time;
        const time = end - this.span * (1 - Math.min(Math.max(share, 0), 1));
        let best = 0;
        this.rows.forEach((row, index) => {
          if (Math.abs(row.time - time) < Math.abs(this.rows[best].time - time)) best = index;
        });
        this.at = best;
      }
      this.draw();
    }

    draw() {
      const { canvas, rows } = this;
      const width = canvas.clientWidth;
      const height = canvas.clientHeight;
      if (!width || !height) return;
      const ratio = window.devicePixelRatio || 1;
      if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
        canvas.width = Math.round(width * ratio);
        canvas.height = Math.round(height * ratio);
      }
      const style = getComputedStyle(canvas);
      const colour = (name) => style.getPropertyValue(`--${name}`).trim();
      const paper = canvas.getContext("2d");
      paper.setTransform(ratio, 0, 0, ratio, 0, 0);
      paper.clearRect(0, 0, width, height);
      paper.font = `11px ${style.fontFamily}`;
      this.say();
      const end = rows.length ? rows[rows.length - 1].time : 0;
      const values = rows.flatMap((row) => this.series.map(({ key }) => row[key] ?? 0));
      const gap = step(Math.max(...values, this.least) * 1.05);
      const top = Math.ceil(Math.max(...values, gap) / gap) * gap;
      const x = (time) => PAD.left + (width - PAD.left - PAD.right) * (1 - (end - time) / this.span);
      const y = (value) => PAD.top + (height - PAD.top - PAD.bottom) * (1 - value / top);
      this.grid(paper, { x, y, width, height, top, gap, end, colour });
      for (const series of this.series) this.line(paper, series, x, y, colour);
      if (this.at !== null) this.cross(paper, x, y, height, colour);
    }

    grid(paper, { x, y, width, height, top, gap, end, colour }) {
      paper.lineWidth = 1;
      paper.textBaseline = "middle";
      paper.textAlign = "right";
      for (let value = 0; value <= top + gap / 2; value += gap) {
        const at = Math.round(y(value)) + 0.5;
        paper.strokeStyle = colour(value === 0 ? "line" : "faint");
        paper.beginPath();
        paper.moveTo(PAD.left, at);
        paper.lineTo(width - PAD.right, at);
        paper.stroke();
        paper.fillStyle = colour("soft");
        paper.fillText(compact.format(value), PAD.left - 7, at);
      }
      if (!end) return;
      paper.textAlign = "center";
      const every = this.span > 450 ? 300 : 60;
      for (let time = Math.ceil((end - this.span) / every) * every; time <= end; time += every) {
        if (x(time) > PAD.left + 14 && x(time) < width - PAD.right - 12) {
          paper.fillText(clock.format(time * 1000), x(time), height - 7);
        }
      }
    }

    line(paper, { key, colour: name, fill, dashed }, x, y, colour) {
      paper.save();
      paper.beginPath();
      paper.rect(PAD.left, 0, paper.canvas.clientWidth - PAD.left - PAD.right + 2, paper.canvas.clientHeight);
      paper.clip();
      paper.strokeStyle = colour(name);
      paper.lineWidth = 1.75;
      paper.lineJoin = "round";
      paper.setLineDash(dashed ? [5, 4] : []);
      paper.beginPath();
      let first = null;
      let last = null;
      let open = false;
      for (const row of this.rows) {
        if (row[key] === null || row[key] === undefined) {
          open = false;
          continue;
        }
        if (open) paper.lineTo(x(row.time), y(row[key]));
        else paper.moveTo(x(row.time), y(row[key]));
        open = true;
        first ??= row;
        last = row;
      }
      paper.stroke();
      if (fill && first) {
        paper.lineTo(x(last.time), y(0));
        paper.lineTo(x(first.time), y(0));
        paper.globalAlpha = 0.12;
        paper.fillStyle = colour(name);
        paper.fill();
      }
      paper.restore();
    }

    cross(paper, x, y, height, colour) {
      const row = this.rows[this.at];
      paper.strokeStyle = colour("soft");
      paper.lineWidth = 1;
      paper.beginPath();
      paper.moveTo(Math.round(x(row.time)) + 0.5, PAD.top);
      paper.lineTo(Math.round(x(row.time)) + 0.5, height - PAD.bottom);
      paper.stroke();
      for (const { key, colour: name } of this.series) {
        if (row[key] === null || row[key] === undefined) continue;
        paper.fillStyle = colour(name);
        paper.beginPath();
        paper.arc(x(row.time), y(row[key]), 3.5, 0, 7);
        paper.fill();
      }
    }

    // The legend beside the title, and the same in words for a screen reader.
    say() {
      const row = this.rows[this.at ?? this.rows.length - 1];
      const shown = (value) => (value === null || value === undefined ? "–" : full.format(value) + this.unit);
      if (!row) return this.canvas.setAttribute("aria-label", "No numbers yet");
      const parts = this.series.map(({ key, label, colour }) => {
        const part = document.createElement("span");
        part.style.color = `var(--${colour})`;
        part.textContent = `${label} ${shown(row[key])}`;
        return part;
      });
      const when = this.at === null ? [] : [document.createTextNode(exact.format(row.time * 1000))];
      this.legend.className = "legend";
      this.legend.replaceChildren(...[...when, ...parts].flatMap((part) => [part, document.createTextNode("  ")]));
      const words = this.series.map(({ key, label }) => {
        const values = this.rows.map((each) => each[key]).filter((value) => value !== null && value !== undefined);
        const most = values.length ? Math.max(...values) : null;
        return `${label} ${shown(row[key])}, at most ${shown(most)}`;
      });
      const moment = this.at === null ? "now" : `at ${exact.format(row.time * 1000)}`;
      this.canvas.setAttribute("aria-label", `${this.canvas.previousElementSibling.firstChild.textContent}, ${moment}: ${words.join("; ")}`);
    }
  }

  window.Chart = Chart;
})();
