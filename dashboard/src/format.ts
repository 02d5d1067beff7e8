// Figures and times as text. One locale, because the page's words are English; the reader's own time zone.

const exact = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });
const short = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

const THOUSANDS = ["", " k", " M", " G", " T", " P"];

/** 1234567 → "1.2 M"; below 10,000 exactly. */
export function count(value: number): string {
  if (Math.abs(value) < 10_000) return exact.format(value);
  return scaled(value, THOUSANDS);
}

/** 1234567 → "1.2 MB", by thousands as Cloudflare bills them. */
export function bytes(value: number): string {
  if (Math.abs(value) < 1_000) return `${exact.format(value)} B`;
  return `${scaled(value, THOUSANDS)}B`;
}

function scaled(value: number, units: readonly string[]): string {
  let [rest, unit] = [value, 0];
  // 999,950 would be shown as 1,000.0 k.
  while (Math.abs(rest) >= 999.95 && unit < units.length - 1) {
    rest /= 1_000;
    unit += 1;
  }
  return `${short.format(rest)}${units[unit] ?? ""}`;
}

/** All digits: 1234567 → "1,234,567". */
export const digits = (value: number): string => exact.format(value);

/** "$12.34"; cents only below 1,000. */
export function dollars(value: number): string {
  if (value > 0 && value < 0.01) return "below $0.01";
  const fractions = Math.abs(value) < 1_000 ? 2 : 0;
  return `$${value.toLocaleString("en", { minimumFractionDigits: fractions, maximumFractionDigits: fractions })}`;
}

export const percent = (share: number): string => `${short.format(share * 100)} %`;

/** 93784 → "1 d 2 h"; the two largest units. */
export function duration(seconds: number): string {
  const parts = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor(seconds / 3_600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "min"],
    [Math.floor(seconds) % 60, "s"],
  ] as const;
  const first = parts.findIndex(([value]) => value > 0);
  if (first < 0) return "0 s";
  return parts.slice(first, first + 2).filter(([value]) => value > 0).map(([value, unit]) => `${value} ${unit}`).join(" ");
}

/** "5 min ago"; "just now" below ten seconds, also for a clock that is a little ahead. */
export function ago(at: Date, now: Date): string {
  const seconds = (now.getTime() - at.getTime()) / 1_000;
  return seconds < 10 ? "just now" : `${duration(seconds).split(" ").slice(0, 2).join(" ")} ago`;
}

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const dayOfYear = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });

/** In the reader's zone; the date is left out for today, the year for this year. */
export function localTime(at: Date, now: Date): string {
  if (at.toDateString() === now.toDateString()) return clock.format(at);
  return `${(at.getFullYear() === now.getFullYear() ? day : dayOfYear).format(at)}, ${clock.format(at)}`;
}

/** "2026-07-01 10:00:00 UTC". */
export const utcTime = (at: Date): string => `${at.toISOString().slice(0, 19).replace("T", " ")} UTC`;
