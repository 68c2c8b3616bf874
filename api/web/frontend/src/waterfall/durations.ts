// Durations as the server writes them: three digits, the largest unit that fits.

const UNITS: [size: number, unit: string][] = [
  [1e9, "s"],
  [1e6, "ms"],
  [1e3, "µs"],
];

/** 950 ns, 12.3 ms, 4.05 s, 2 min 5 s. */
export function durationText(ns: number): string {
  if (ns < 0) return `-${durationText(-ns)}`;
  const seconds = Math.floor(ns / 1e9);
  if (seconds >= 3600) return both(Math.floor(seconds / 3600), "h", Math.floor((seconds % 3600) / 60), "min");
  if (seconds >= 60) return both(Math.floor(seconds / 60), "min", seconds % 60, "s");
  for (const [size, unit] of UNITS) {
    if (ns >= size) return `${threeDigits(ns / size)} ${unit}`;
  }
  return `${Math.round(ns)} ns`;
}

function both(large: number, unit: string, small: number, smallUnit: string): string {
  return small ? `${large} ${unit} ${small} ${smallUnit}` : `${large} ${unit}`;
}

function threeDigits(value: number): string {
  const places = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return String(Number(value.toFixed(places)));
}
