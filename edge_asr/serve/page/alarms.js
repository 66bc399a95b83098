// Alarms, active and past.

import { get } from "./api.js";
import { byId, make } from "./dom.js";
import { moment } from "./times.js";

const WEEK_MS = 7 * 86_400_000;

export class Alarms {
  /** Show how many are active beside the view's name. */
  state(state) {
    const count = byId("alarm-count");
    count.hidden = !state.alarms.length;
    count.textContent = state.alarms.length;
    count.setAttribute("aria-label", `${state.alarms.length} active`);
  }

  async show() {
    try {
      const { alarms } = await get("/v1/alarms", { since: new Date(Date.now() - WEEK_MS).toISOString() });
      alarms.reverse();
      fill("alarms-active", alarms.filter((alarm) => alarm.cleared_utc === null), "No alarm is active.");
      fill("alarms-past", alarms.filter((alarm) => alarm.cleared_utc !== null), "None.");
    } catch (error) {
      fill("alarms-active", [], error.message);
    }
  }
}

function fill(id, alarms, none) {
  byId(id).replaceChildren(...(alarms.length ? alarms.map(item) : [make("li", { class: "none", text: none })]));
}

function item(alarm) {
  const raised = `Raised ${moment(new Date(alarm.raised_utc))}`;
  const cleared = alarm.cleared_utc === null ? "" : `, cleared ${moment(new Date(alarm.cleared_utc))}${alarm.cleared_detail ? `: ${alarm.cleared_detail}` : ""}`;
  return make(
    "li",
    { class: cleared ? "cleared" : null },
    make("p", {}, make("strong", { text: alarm.code }), ` ${alarm.source}`),
    make("p", { text: alarm.detail }),
    make("p", { class: "quiet", text: raised + cleared }),
  );
}
