// All about one utterance: its sound with the words as they sound, its versions, a correction.

import { get, post } from "./api.js";
import { differences } from "./diff.js";
import { byId, make } from "./dom.js";
import { badges, isHuman } from "./entry.js";
import { length, moment, startOf } from "./times.js";

export class UtteranceDialog {
  constructor() {
    this.dialog = byId("utterance");
    this.player = byId("player");
    this.words = [];
    byId("utterance-close").addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
    this.dialog.addEventListener("close", () => this.closed());
    this.player.addEventListener("play", () => this.followSound());
    this.player.addEventListener("timeupdate", () => this.markWord());
    byId("correction").addEventListener("submit", (event) => {
      event.preventDefault();
      this.correct();
    });
    for (const side of ["compare-left", "compare-right"]) {
      byId(side).addEventListener("change", () => this.compare());
    }
  }

  async open(id) {
    byId("correction-status").textContent = "";
    this.show(await get(`/v1/utterances/${id}`));
    if (!this.dialog.open) this.dialog.showModal();
  }

  closed() {
    this.player.pause();
    const focused = document.activeElement;
    if (focused !== document.body && !this.dialog.contains(focused)) return;
    // The button that opened it was replaced meanwhile: its entry has another one.
    const items = [...document.querySelectorAll(`[data-utterance="${this.shown.utterance_id}"] > button`)];
    items.find((button) => button.checkVisibility())?.focus();
  }

  /** Read it again, if it is shown: another version came. */
  async transcript(entry) {
    if (this.dialog.open && entry.utterance_id === this.shown.utterance_id) {
      this.show(await get(`/v1/utterances/${entry.utterance_id}`), false);
    }
  }

  show(utterance, isNew = true) {
    this.shown = utterance;
    this.standing = utterance.versions.find((v) => v.version === utterance.standing_version) ?? null;
    byId("utterance-title").textContent = `${utterance.source}, ${moment(startOf(utterance))}`;
    const facts = [length(utterance.duration_s), `ended by ${utterance.end_reason.replaceAll("_", " ")}`, `clock ${utterance.clock_quality}`, utterance.uid];
    if (utterance.redacted !== null) facts.push(`redacted: ${utterance.redacted}`);
    if (utterance.failure) facts.push(`failed: ${utterance.failure}`);
    byId("utterance-facts").textContent = facts.join(" · ");
    this.player.hidden = !utterance.has_sound;
    if (isNew && utterance.has_sound) this.player.src = `/v1/utterances/${utterance.utterance_id}/audio`;
    this.showWords();
    this.showVersions();
    if (isNew || !byId("corrected").matches(":focus")) byId("corrected").value = this.standing?.text ?? "";
    byId("correction").hidden = utterance.redacted !== null;
  }

  showWords() {
    const place = byId("utterance-words");
    const timed = this.standing?.words ?? [];
    this.words = timed.map((word) => ({
      ...word,
      element: make("button", { type: "button", text: word.text, onclick: () => this.playFrom(word.start_s) }),
    }));
    if (this.words.length) place.replaceChildren(...this.words.flatMap((word) => [word.element, " "]));
    else place.textContent = this.standing?.text || "(no words)";
    place.lang = this.standing && this.standing.language !== "und" ? this.standing.language : "";
  }

  showVersions() {
    const { versions } = this.shown;
    byId("versions").replaceChildren(...versions.map((version) => this.versionItem(version)));
    const options = () => versions.map((v) => make("option", { value: v.version, text: title(v) }));
    byId("compare").hidden = versions.length < 2;
    if (versions.length < 2) return;
    byId("compare-left").replaceChildren(...options());
    byId("compare-right").replaceChildren(...options());
    const right = this.standing ?? versions[versions.length - 1];
    const left = versions.findLast((v) => v.version !== right.version);
    byId("compare-left").value = right.parent_version ?? left.version;
    byId("compare-right").value = right.version;
    this.compare();
  }

  versionItem(version) {
    const stands = version === this.standing;
    const made = new Date(version.created_utc);
    return make(
      "li",
      { class: stands ? "standing" : null },
      make("p", { text: version.text || "(no words)" }),
      make("p", { class: "quiet" }, `${title(version)}${stands ? ", stands" : ""}${version.is_shown ? "" : ", not shown"}, ${moment(made)} `, ...badges(version)),
    );
  }

  compare() {
    const text = (id) => this.shown.versions.find((v) => v.version === Number(byId(id).value)).text;
    const found = differences(text("compare-left"), text("compare-right"));
    const side = (kind, tag) =>
      found.filter(([k]) => k === "same" || k === kind).flatMap(([k, words]) => [k === "same" ? words : make(tag, { text: words }), " "]);
    byId("side-left").replaceChildren(...side("gone", "del"));
    byId("side-right").replaceChildren(...side("new", "ins"));
  }

  async correct() {
    const status = byId("correction-status");
    try {
      const { utterance_id: id } = this.shown;
      await post(`/v1/utterances/${id}/versions`, { text: byId("corrected").value.trim(), parent_version: this.standing?.version ?? null });
      this.show(await get(`/v1/utterances/${id}`), false);
      status.textContent = "Saved.";
    } catch (error) {
      status.textContent = error.message;
    }
  }

  playFrom(seconds) {
    this.player.currentTime = seconds;
    this.player.play();
  }

  /** While it plays, mark the word at every frame: the player itself tells its time too rarely. */
  followSound() {
    this.markWord();
    if (!this.player.paused && !this.player.ended) requestAnimationFrame(() => this.followSound());
  }

  markWord() {
    const now = this.player.currentTime;
    for (const word of this.words) {
      word.element.classList.toggle("sounding", now >= word.start_s && now < word.end_s);
    }
  }
}

const title = (version) => `Version ${version.version} by ${isHuman(version) ? "a person" : version.bundle}`;
