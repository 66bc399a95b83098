// Moments and lengths of time in words. Moments are shown by the clock of whoever looks.

const CLOCK = { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false };
const DAY = { weekday: "short", year: "numeric", month: "short", day: "numeric" };

export const clock = (date) => date.toLocaleTimeString([], CLOCK);
export const day = (date) => date.toLocaleDateString([], DAY);

/** When an entry was said: by what is known of the clock by now. */
export const startOf = (entry) => new Date(entry.start_utc_corrected ?? entry.start_utc);

export function moment(date) {
  const today = new Date().toDateString() === date.toDateString();
  return today ? clock(date) : `${day(date)} ${clock(date)}`;
}

export function length(seconds) {
  if (seconds < 120) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** A date as an input of type date has it, by the clock of whoever looks. */
export function isoDay(date) {
  const two = (number) => String(number).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

export function daysLater(iso, n) {
  const [year, month, date] = iso.split("-").map(Number);
  return isoDay(new Date(year, month - 1, date + n));
}
