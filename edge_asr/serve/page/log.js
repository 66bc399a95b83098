// The log: searched, filtered, selected, exported.

import { get, query } from "./api.js";
import { byId, make } from "./dom.js";
import { entryItem, refill } from "./entry.js";
import { daysLater } from "./times.js";

const PAGE = 50;

export class Log {
  constructor(open) {
    this.open = open;
    this.before = null;
    this.chosen = new Set();
    this.asked = 0;
    const form = byId("search");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.search();
    });
    form.addEventListener("reset", () => setTimeout(() => this.search()));
    form.addEventListener("change", (event) => event.target.name !== "q" && this.search());
    byId("older").addEventListener("click", () => this.more());
    byId("select-all").addEventListener("change", (event) => this.selectAll(event.target.checked));
    byId("export-format").addEventListener("change", () => this.link());
    this.link();
  }

  /** What the form asks for, as parameters of the API. */
  wanted() {
    const { q, day, source, language, max_confidence } = Object.fromEntries(new FormData(byId("search")));
    // A day is one of whoever looks: the server may live by another clock.
    const midnight = (iso) => new Date(`${iso}T00:00:00`).toISOString();
    const since = day ? midnight(day) : "";
    const until = day ? midnight(daysLater(day, 1)) : "";
    return { q: q.trim(), since, until, source, language, max_confidence };
  }

  async search() {
    this.before = null;
    this.chosen.clear();
    byId("select-all").checked = false;
    const list = byId("entries");
    await this.read((items) => refill(list, () => list.replaceChildren(...items)));
  }

  async more() {
    await this.read((items) => {
      byId("entries").append(...items);
      items[0]?.querySelector("button").focus();
    });
  }

  async read(place) {
    const asked = (this.asked += 1);
    const status = byId("log-status");
    try {
      const found = await get("/v1/transcripts", { ...this.wanted(), limit: PAGE, before: this.before });
      if (asked !== this.asked) return; // another search was faster
      place(found.transcripts.map((entry) => this.item(entry)));
      this.before = found.before;
      for (const entry of found.transcripts) addOption("language", entry.language);
      const n = byId("entries").children.length;
      status.textContent = n ? `${n}${found.before ? " or more" : ""} found, newest first.` : "Nothing found.";
    } catch (error) {
      status.textContent = error.message;
      this.before = null;
    }
    byId("older").hidden = this.before === null;
    this.link();
  }

  item(entry) {
    const box = make("input", {
      type: "checkbox",
      "aria-label": `Select: ${entry.text.slice(0, 60)}`,
      onchange: (event) => this.choose(entry.utterance_id, event.target.checked),
    });
    box.checked = this.chosen.has(entry.utterance_id);
    return entryItem(entry, this.open, make("label", { class: "pick" }, box));
  }

  /** Show a version that came just now, where its utterance is shown. */
  transcript(entry) {
    addOption("source", entry.source);
    const list = byId("entries");
    const there = list.querySelector(`[data-utterance="${entry.utterance_id}"]`);
    if (there) refill(list, () => there.replaceWith(this.item(entry)));
    else if (!Object.values(this.wanted()).some(Boolean)) list.prepend(this.item(entry));
  }

  choose(id, isChosen) {
    if (isChosen) this.chosen.add(id);
    else this.chosen.delete(id);
    this.link();
  }

  selectAll(isChosen) {
    for (const item of byId("entries").children) {
      item.querySelector("input").checked = isChosen;
      const id = Number(item.dataset.utterance);
      if (isChosen) this.chosen.add(id);
      else this.chosen.delete(id);
    }
    this.link();
  }

  /** Let the export's link lead to what is selected, or to all that was searched for. */
  link() {
    const n = this.chosen.size;
    byId("selected").textContent = n ? `${n} selected` : "";
    const format = byId("export-format").value;
    const what = n ? { ids: [...this.chosen].sort((a, b) => a - b).join(",") } : this.wanted();
    const link = byId("export");
    link.href = `/v1/export${query({ format, ...what })}`;
    link.textContent = n ? `Export ${n} selected` : "Export all found";
  }
}

/** Add a choice to a filter, if it is not there. */
export function addOption(name, value) {
  const select = byId("search").elements[name];
  if (value && ![...select.options].some((option) => option.value === value)) {
    select.append(make("option", { value, text: value }));
  }
}
