// One entry of the log as an item of a list.

import { make } from "./dom.js";
import { length, moment, startOf } from "./times.js";

const DOUBTFUL = 0.7;

/** How sure the model was, 0 to 1: the mean probability of a token; null where it cannot say. */
export const confidence = (entry) => (entry.avg_logprob === null ? null : Math.exp(entry.avg_logprob));

export const isHuman = (entry) => entry.bundle === "human";

export function badges(entry) {
  const sure = confidence(entry);
  const badge = (kind, text, title) => make("span", { class: `badge ${kind}`, text, title });
  return [
    isHuman(entry) && badge("human", "corrected", "A person wrote this."),
    sure !== null && sure < DOUBTFUL && badge("doubt", `${Math.round(sure * 100)} % sure`, "The model was not sure of it."),
    ...entry.flags.map((flag) => badge("doubt", flag, "A reason to doubt the text.")),
  ].filter(Boolean);
}

/** Return the list item; `open(entry)` is called when its button is used, `before` stands in front. */
export function entryItem(entry, open, before = null) {
  const when = startOf(entry);
  const words = entry.text || "(no words)";
  return make(
    "li",
    { "data-utterance": entry.utterance_id },
    before,
    make(
      "div",
      {},
      make("p", { class: entry.text ? "text" : "text empty", text: words, lang: entry.language === "und" ? null : entry.language }),
      make(
        "p",
        { class: "meta" },
        make("time", { datetime: when.toISOString(), text: moment(when) }),
        make("span", { text: entry.source }),
        make("span", { text: entry.language }),
        make("span", { text: length(entry.duration_s) }),
        ...badges(entry),
      ),
    ),
    make("button", { type: "button", text: "Open", "aria-label": `Open: ${words.slice(0, 60)}`, onclick: () => open(entry.utterance_id) }),
  );
}

/** Change a list of entries; what had the keyboard's focus has it again, if its entry is still there. */
export function refill(list, change) {
  const focused = list.contains(document.activeElement) ? document.activeElement : null;
  const item = focused?.closest("[data-utterance]");
  change();
  if (item) list.querySelector(`[data-utterance="${item.dataset.utterance}"] ${focused.localName}`)?.focus();
}
