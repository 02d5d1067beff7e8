// The times that can be looked at, and how fine: at most some 170 points, whatever the time.

export interface Range {
  name: string;
  title: string;
  seconds: number;
  /** Length of a point. */
  stepSeconds: number;
  /** GraphQL's name for that. */
  dimension: "datetimeMinute" | "datetimeFifteenMinutes" | "datetimeHour" | "date";
  /** What is read for a longer time costs more calls, and changes less. */
  refreshSeconds: number;
}

const HOUR = 3_600;
const DAY = 24 * HOUR;

export const RANGES: readonly [Range, ...Range[]] = [
  { name: "1h", title: "1 h", seconds: HOUR, stepSeconds: 60, dimension: "datetimeMinute", refreshSeconds: 15 },
  { name: "24h", title: "24 h", seconds: DAY, stepSeconds: 900, dimension: "datetimeFifteenMinutes", refreshSeconds: 60 },
  { name: "7d", title: "7 d", seconds: 7 * DAY, stepSeconds: HOUR, dimension: "datetimeHour", refreshSeconds: 300 },
  { name: "31d", title: "31 d", seconds: 31 * DAY, stepSeconds: DAY, dimension: "date", refreshSeconds: 600 },
];

export const rangeNamed = (name: string | null): Range => RANGES.find((range) => range.name === name) ?? RANGES[0];

/** Where the range's first step begins, and the beginnings of all of them, unix seconds. The last one is not over. */
export function steps(range: Range, nowMillis: number): number[] {
  const last = Math.floor(nowMillis / 1_000 / range.stepSeconds) * range.stepSeconds;
  const count = Math.ceil(range.seconds / range.stepSeconds);
  return Array.from({ length: count + 1 }, (_, index) => last - (count - index) * range.stepSeconds);
}
