// A day as a strip: speech, silence, and what was not heard.

import { get } from "./api.js";
import { byId, make, makeSvg } from "./dom.js";
import { clock, daysLater, isoDay, length } from "./times.js";

const KINDS = {
  speech: "speech",
  not_speech: "no speech",
  muted: "muted",
  overflow: "sound dropped",
  no_device: "no microphone",
  not_running: "not listening",
};
const WIDTH = 1440; // a unit for each minute
const THIN = 0.8; // so that what lasted a second is still seen

export class Ledger {
  constructor() {
    this.form = byId("day");
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("change", () => this.show());
    byId("day-before").addEventListener("click", () => this.move(-1));
    byId("day-after").addEventListener("click", () => this.move(1));
    byId("legend").append(...Object.entries(KINDS).map(([kind, text]) => make("li", { class: kind, text })));
  }

  move(n) {
    this.form.elements.date.value = daysLater(this.form.elements.date.value || isoDay(new Date()), n);
    this.show();
  }

  async show() {
    const { date } = this.form.elements;
    if (!date.value) date.value = isoDay(new Date());
    const place = byId("accounts");
    try {
      const ledger = await get("/v1/ledger", { date: date.value });
      const accounts = ledger.sources.map((account) => this.account(ledger, account));
      place.replaceChildren(...(accounts.length ? accounts : [make("p", { class: "quiet", text: "Nothing is known of this day." })]));
    } catch (error) {
      place.replaceChildren(make("p", { text: error.message }));
    }
  }

  account(ledger, account) {
    const totals = Object.entries(account.totals_s).filter(([, seconds]) => seconds > 0);
    const words = totals.map(([kind, seconds]) => `${KINDS[kind]} ${length(seconds)}`).join(", ");
    return make(
      "article",
      { class: "account" },
      make("h3", { text: account.source }),
      strip(ledger, account, `${account.source}: ${words}`),
      make("div", { class: "hours", "aria-hidden": "true" }, ...[0, 6, 12, 18, 24].map((hour) => make("span", { text: `${String(hour).padStart(2, "0")}:00` }))),
      make(
        "table",
        {},
        make("tbody", {}, ...totals.map(([kind, seconds]) => make("tr", {}, make("th", { scope: "row", text: KINDS[kind] }), make("td", { class: "number", text: length(seconds) })))),
      ),
      gaps(account),
    );
  }
}

function strip(ledger, account, label) {
  const start = Date.parse(ledger.start_utc);
  const whole = Date.parse(ledger.end_utc) - start;
  const x = (time) => ((Date.parse(time) - start) / whole) * WIDTH;
  // What is rare lies over what is not, or a second of it would not be seen.
  const order = Object.keys(KINDS).reverse();
  const rank = (kind) => (kind === "speech" ? 3 : kind === "not_speech" ? 0 : kind === "not_running" ? 1 : 4);
  const spans = [...account.spans].sort((a, b) => rank(a.kind) - rank(b.kind) || order.indexOf(a.kind) - order.indexOf(b.kind));
  const bars = spans.map((span) => {
    const title = makeSvg("title");
    title.textContent = `${KINDS[span.kind]}, ${clock(new Date(span.start_utc))} to ${clock(new Date(span.end_utc))}`;
    const width = Math.max(THIN, x(span.end_utc) - x(span.start_utc));
    return makeSvg("rect", { class: span.kind, x: x(span.start_utc).toFixed(2), y: 0, width: width.toFixed(2), height: 40 }, title);
  });
  return makeSvg("svg", { class: "strip", viewBox: `0 0 ${WIDTH} 40`, preserveAspectRatio: "none", role: "img", "aria-label": label }, ...bars);
}

function gaps(account) {
  if (!account.gaps.length) return make("p", { class: "quiet", text: "No gaps." });
  const row = (gap) =>
    make("tr", {}, make("td", { class: "number", text: `${clock(new Date(gap.start_utc))} – ${clock(new Date(gap.end_utc))}` }), make("td", { text: `${KINDS[gap.kind]}, ${gap.certain ? length(gap.duration_s) : "of unknown length: the clock was not set"}${gap.detail ? `: ${gap.detail}` : ""}` }));
  return make("details", {}, make("summary", { text: `${account.gaps.length} ${account.gaps.length === 1 ? "gap" : "gaps"}` }), make("table", {}, make("tbody", {}, ...account.gaps.map(row))));
}
