// Settings: shown, not edited.

import { get } from "./api.js";
import { byId, make } from "./dom.js";

export class Settings {
  async show() {
    try {
      const { file, sections } = await get("/v1/settings");
      const where = file ? `They are read from ${file}` : "There is no configuration file, so these are the defaults; write /etc/edge-asr/config.yaml to change them";
      byId("settings-where").textContent = `${where}. A change takes effect when the services start again: systemctl restart 'edge-asr*.service'.`;
      byId("settings-list").replaceChildren(...sections.map(section));
    } catch (error) {
      byId("settings-where").textContent = error.message;
    }
  }
}

/** Set what stands between double backticks as code. */
function marked(text) {
  return text.split("``").map((part, index) => (index % 2 ? make("code", { text: part }) : part));
}

function section({ section: name, description, settings }) {
  const row = (setting) =>
    make("tr", {}, make("th", { scope: "row" }, make("code", { text: setting.name })), make("td", { class: "value" }, make("code", { text: JSON.stringify(setting.value) })), make("td", {}, ...marked(setting.description)));
  return make("details", {}, make("summary", {}, make("span", { text: name })), make("p", { class: "quiet" }, ...marked(description)), make("table", {}, make("tbody", {}, ...settings.map(row))));
}
