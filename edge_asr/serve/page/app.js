// Puts the views together, and hands each event to whoever shows it.

import { Alarms } from "./alarms.js";
import { get } from "./api.js";
import { byId } from "./dom.js";
import { follow } from "./feed.js";
import { Ledger } from "./ledger.js";
import { Live } from "./live.js";
import { addOption, Log } from "./log.js";
import { Settings } from "./settings.js";
import { UtteranceDialog } from "./utterance.js";

const VIEWS = ["live", "log", "ledger", "alarms", "settings"];

const utterance = new UtteranceDialog();
const open = (id) => utterance.open(id).catch(complain);
const views = { live: new Live(open), log: new Log(open), ledger: new Ledger(), alarms: new Alarms(), settings: new Settings() };
const shows = {
  live: () => views.live.begin(),
  log: () => views.log.search(),
  ledger: () => views.ledger.show(),
  alarms: () => views.alarms.show(),
  settings: () => views.settings.show(),
};

function route() {
  const hash = location.hash.slice(1);
  const name = VIEWS.includes(hash) ? hash : "live";
  for (const each of VIEWS) byId(each).hidden = each !== name;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${name[0].toUpperCase()}${name.slice(1)} · edge-asr`;
  Promise.resolve(shows[name]()).catch(complain);
}

function complain(error) {
  const banner = byId("connection");
  banner.textContent = error.message;
  banner.hidden = false;
}

function connected(isConnected) {
  byId("connection").hidden = isConnected;
  if (!isConnected) byId("connection").textContent = "No connection to the recorder. It is tried again.";
}

async function transcript(event) {
  // What came last need not be what stands: a person's correction does.
  const { transcripts } = await get("/v1/transcripts", { ids: event.utterance_id, limit: 1 });
  const entry = transcripts[0] ?? event;
  views.live.transcript(entry);
  views.log.transcript(entry);
  await utterance.transcript(entry);
}

function theme() {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    document.documentElement.dataset.theme = localStorage.getItem("theme") ?? (system.matches ? "dark" : "light");
  };
  system.addEventListener("change", apply);
  byId("theme").addEventListener("click", () => {
    localStorage.setItem("theme", document.documentElement.dataset.theme === "dark" ? "light" : "dark");
    apply();
  });
  apply();
}

theme();
addEventListener("hashchange", route);
addEventListener("keydown", (event) => {
  if (event.key === "/" && !event.target.closest("input, textarea, select, dialog")) {
    event.preventDefault();
    if (byId("log").hidden) location.hash = "#log";
    setTimeout(() => byId("search").elements.q.focus());
  }
});
route();
follow(
  {
    state: (state) => {
      views.live.state(state);
      views.alarms.state(state);
      for (const { source } of state.microphones) addOption("source", source);
    },
    level: (event) => views.live.level(event),
    partial: (event) => views.live.partial(event),
    utterance: (event) => views.live.utterance(event),
    transcript: (event) => transcript(event).catch(complain),
    alarm: () => byId("alarms").hidden || views.alarms.show(),
    problem: complain,
  },
  connected,
);
