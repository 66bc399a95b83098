// The feed of events. The browser connects again by itself, and names the last event it got.

const KINDS = ["state", "level", "partial", "status", "utterance", "transcript", "gap", "alarm", "problem"];

/** Call `handlers[kind](event)` for each event, and `connected(true | false)` at every change. */
export function follow(handlers, connected) {
  const source = new EventSource("/v1/events");
  for (const kind of KINDS) {
    source.addEventListener(kind, (message) => handlers[kind]?.(JSON.parse(message.data)));
  }
  source.addEventListener("open", () => connected(true));
  source.addEventListener("error", () => {
    connected(false);
    // A server that refuses ends the browser's patience: begin anew after a while.
    if (source.readyState === EventSource.CLOSED) {
      setTimeout(() => follow(handlers, connected), 5000);
    }
  });
}
