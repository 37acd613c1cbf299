// Sizes, durations and moments in words, the same as the server writes them.

const UNITS = ["kB", "MB", "GB", "TB", "PB"];

export function filesize(bytes) {
  if (bytes === 1) return "1 byte";
  if (bytes < 1000) return `${bytes} bytes`;
  let amount = bytes;
  for (const unit of UNITS) {
    amount /= 1000;
    const shown = amount < 9.95 ? Math.round(amount * 10) / 10 : Math.round(amount);
    if (shown < 1000) return `${shown} ${unit}`;
  }
  return `${Math.round(amount)} PB`;
}

export function timeLeft(seconds) {
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 10) return "a few seconds left";
  if (seconds < 55) return `${Math.round(seconds / 5) * 5} seconds left`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 2) return "about a minute left";
  if (minutes < 60) return `${minutes} minutes left`;
  const hours = Math.round(minutes / 60);
  return hours === 1 ? "about an hour left" : `about ${hours} hours left`;
}

export function count(number, one, many) {
  return number === 1 ? `1 ${one}` : `${number.toLocaleString("en-GB")} ${many}`;
}

// English, as the pages are; only the zone is the reader's.
const DAY = { day: "numeric", month: "long" };
const CLOCK = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };

/** In the browser's own zone, or in `zone`. */
export function localTime(date, withTime, zone) {
  const year = date.getFullYear() === new Date().getFullYear() ? {} : { year: "numeric" };
  const day = date.toLocaleDateString("en-GB", { ...DAY, ...year, timeZone: zone });
  return withTime ? `${day}, ${date.toLocaleTimeString("en-GB", { ...CLOCK, timeZone: zone })}` : day;
}

export function exactTime(date, zone) {
  const day = date.toLocaleDateString("en-GB", { ...DAY, year: "numeric", timeZone: zone });
  const clock = { ...CLOCK, second: "2-digit", timeZoneName: "short", timeZone: zone };
  return `${day}, ${date.toLocaleTimeString("en-GB", clock)}`;
}
