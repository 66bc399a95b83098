// The view of this moment: microphones, what is being said, backlog, heat, disk.

import { byId, make, setText } from "./dom.js";
import { entryItem, refill } from "./entry.js";
import { get } from "./api.js";

const SHOWN = 20;
const QUIETEST_DB = -60;
const LOUD_DB = -3;
const STALE_MS = 2000;

export class Live {
  constructor(open) {
    this.open = open;
    this.cards = new Map();
    setInterval(() => this.forgetStale(), 1000);
  }

  async begin() {
    const { transcripts } = await get("/v1/transcripts", { limit: SHOWN });
    const list = byId("recent");
    const items = transcripts.map((entry) => entryItem(entry, this.open));
    refill(list, () => list.replaceChildren(...items));
    this.sayIfEmpty();
  }

  state(state) {
    for (const microphone of state.microphones) this.describe(microphone);
    const named = new Set(state.microphones.map((microphone) => microphone.source));
    for (const [source, card] of this.cards) {
      if (!named.has(source)) {
        card.root.remove();
        this.cards.delete(source);
      }
    }
    this.facts(state);
  }

  describe(microphone) {
    const card = this.card(microphone.source);
    card.root.className = `card ${microphone.state}${microphone.alarms.length ? " alarmed" : ""}`;
    setText(card.words, microphone.words);
    if (microphone.state !== "hearing") this.quieten(card);
  }

  level(event) {
    const card = this.card(event.source);
    const share = Math.min(1, Math.max(0, 1 - event.rms_dbfs / QUIETEST_DB));
    card.bar.firstChild.style.width = `${Math.round(share * 100)}%`;
    card.bar.classList.toggle("loud", event.peak_dbfs > LOUD_DB);
    card.bar.setAttribute("aria-valuenow", Math.round(event.rms_dbfs));
    setText(card.number, `${event.rms_dbfs.toFixed(0)} dBFS`);
    setText(card.speaking, event.speaking ? "someone speaks" : "");
    card.heardAt = Date.now();
  }

  partial(event) {
    setText(this.card(event.source).partial, event.text);
  }

  utterance(event) {
    const card = this.cards.get(event.source);
    if (card) setText(card.partial, "");
  }

  transcript(entry) {
    const list = byId("recent");
    const item = entryItem(entry, this.open);
    const there = list.querySelector(`[data-utterance="${entry.utterance_id}"]`);
    if (there) refill(list, () => there.replaceWith(item));
    else list.prepend(item);
    while (list.children.length > SHOWN) list.lastElementChild.remove();
    this.sayIfEmpty();
  }

  facts(state) {
    const { recognizer, temperature_c: warm, warm_from_c: limit, disk } = state;
    const isWarm = warm !== null && limit !== null && warm >= limit;
    const facts = [
      ["Waiting for text", recognizer.words, recognizer.state === "not_running"],
      ["Temperature", warm === null ? "The board does not say." : `${warm.toFixed(0)} °C${isWarm ? ": too warm, the second pass waits" : ""}`, isWarm],
      ["Disk", disk.words, disk.is_low],
      ["Alarms", state.alarms.length ? `${state.alarms.length} active` : "None.", state.alarms.length > 0],
    ];
    const list = byId("facts");
    facts.forEach(([title, words, isBad], index) => {
      const row = list.children[index] ?? list.appendChild(make("div", {}, make("dt", { text: title }), make("dd")));
      setText(row.lastElementChild, words);
      row.classList.toggle("bad", isBad);
    });
  }

  card(source) {
    if (!this.cards.has(source)) {
      const card = {
        words: make("p"),
        bar: make("div", { class: "bar", role: "meter", "aria-label": `Level of ${source}`, "aria-valuemin": QUIETEST_DB, "aria-valuemax": 0, "aria-valuenow": QUIETEST_DB }, make("div")),
        number: make("span", { "aria-hidden": "true" }),
        speaking: make("span", { class: "speaking" }),
        partial: make("p", { class: "partial" }),
        heardAt: 0,
      };
      card.root = make(
        "article",
        { class: "card", "aria-label": `Microphone ${source}` },
        make("h3", {}, make("span", { text: source }), card.speaking),
        card.words,
        make("div", { class: "level" }, card.bar, card.number),
        card.partial,
      );
      this.cards.set(source, card);
      byId("microphones").append(card.root);
    }
    return this.cards.get(source);
  }

  forgetStale() {
    for (const card of this.cards.values()) {
      if (card.heardAt && Date.now() - card.heardAt > STALE_MS) this.quieten(card);
    }
  }

  quieten(card) {
    card.heardAt = 0;
    card.bar.firstChild.style.width = "0";
    setText(card.number, "");
    setText(card.speaking, "");
  }

  sayIfEmpty() {
    byId("recent-empty").hidden = byId("recent").children.length > 0;
  }
}
