/** What the bench measured, and its two tables in plain text. */

export const MEBI = 2 ** 20;

export interface Goal {
  /** Of the median. */
  ms?: number;
  /** Of the process's peak where it is known, else of the wasm memory. */
  megabytes?: number;
}

/** One stage. Empty `ms`: only memory was measured. */
export interface StageRow {
  name: string;
  /** Milliseconds of each run. */
  ms: number[];
  /** Size of the WebAssembly memory after the run; it never shrinks. */
  wasmBytes?: number;
  /** What the first run in a fresh process takes beside its input, at the most. */
  peakBytes?: number;
  goal?: Goal;
}

/** Our own code and the library that would do the same. */
export interface ContestRow {
  name: string;
  ours: number;
  library: number;
  /** `of` counts what is right, of so many. */
  unit: 'ms' | 'MB' | 'of 255' | `of ${number}`;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export function stageTable(rows: readonly StageRow[]): string {
  const head = ['', 'median ms', 'best ms', 'wasm MB', 'peak MB', 'goal', 'met'];
  const lines = rows.map((row) => [
    row.name,
    row.ms.length > 0 ? decimals(median(row.ms)) : '',
    row.ms.length > 0 ? decimals(Math.min(...row.ms)) : '',
    megabytes(row.wasmBytes),
    megabytes(row.peakBytes),
    describe(row.goal),
    row.goal ? (isMet(row, row.goal) ? 'yes' : 'NO') : '',
  ]);
  return align([head, ...lines]);
}

export function contestTable(rows: readonly ContestRow[]): string {
  const head = ['', 'ours', 'library', '', 'library / ours'];
  const lines = rows.map(({ name, ours, library, unit }) => {
    const counts = unit.startsWith('of ');
    const show = (value: number) => (counts ? String(value) : decimals(value));
    return [name, show(ours), show(library), unit, counts ? '' : (library / ours).toFixed(1)];
  });
  return align([head, ...lines]);
}

export const decimals = (value: number) => value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);

const megabytes = (bytes: number | undefined) => (bytes === undefined ? '' : (bytes / MEBI).toFixed(1));

function describe(goal: Goal | undefined): string {
  const parts = [goal?.ms && `${goal.ms} ms`, goal?.megabytes && `${goal.megabytes} MB`].filter(Boolean);
  return parts.length > 0 ? `< ${parts.join(', ')}` : '';
}

function isMet({ ms, wasmBytes, peakBytes }: StageRow, goal: Goal): boolean {
  const fast = goal.ms === undefined || median(ms) < goal.ms;
  const small = goal.megabytes === undefined || (peakBytes ?? wasmBytes ?? 0) < goal.megabytes * MEBI;
  return fast && small;
}

/** The first column to the left, the others to the right. */
export function align(lines: readonly string[][]): string {
  const widths = lines[0].map((_, column) => Math.max(...lines.map((line) => line[column].length)));
  return lines
    .map((line) =>
      line
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column])))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
