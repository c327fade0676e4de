/** What the bench measured of the engine, its tables in plain text, and the same figures as JSON. */
import { align, decimals, median } from './report.ts';

/** The engine and onnxruntime-web, milliseconds of each run. */
export interface RuntimeRow {
  name: string;
  /** `<key>Speedup` in the figures */
  key: string;
  engine: number[];
  onnx: number[];
  /** The least ratio of the medians. */
  goal?: number;
}

/** A number with a limit. */
export interface FigureRow {
  name: string;
  key: string;
  value: number;
  unit: string;
  goal?: { least: number } | { most: number };
}

/** One image through a model, and the bare matrix product of its blocks. */
export interface GrowthRow {
  name: string;
  shape: { tokens: number; layers: number; width: number };
  image: { ms: number[]; macs: number };
  product: { ms: number[]; macs: number };
}

export interface EngineRows {
  runtimes?: RuntimeRow[];
  figures?: FigureRow[];
  growth?: GrowthRow[];
}

const speedup = ({ engine, onnx }: RuntimeRow) => median(onnx) / median(engine);
const met = (yes: boolean) => (yes ? 'yes' : 'NO');
/** Two operations for a multiplication and its addition. */
const gops = ({ ms, macs }: GrowthRow['image']) => (2 * macs) / median(ms) / 1e6;

export function runtimeTable(rows: readonly RuntimeRow[]): string {
  const head = ['', 'engine ms', 'best', 'onnxruntime ms', 'best', 'ratio', 'of best', 'goal', 'met'];
  const lines = rows.map((row) => {
    const { name, engine, onnx, goal } = row;
    const times = [engine, onnx].flatMap((ms) => [decimals(median(ms)), decimals(Math.min(...ms))]);
    const ratio = speedup(row);
    const ofBest = Math.min(...onnx) / Math.min(...engine);
    const limits = goal === undefined ? ['', ''] : [`≥ ${goal}`, met(ratio >= goal)];
    return [name, ...times, ratio.toFixed(2), ofBest.toFixed(2), ...limits];
  });
  return align([head, ...lines]);
}

export function figureTable(rows: readonly FigureRow[]): string {
  const lines = rows.map(({ name, value, unit, goal }) => {
    if (!goal) return [name, String(value), unit, '', ''];
    const [sign, limit] = 'least' in goal ? ['≥', goal.least] : ['≤', goal.most];
    return [name, String(value), unit, `${sign} ${limit}`, met(sign === '≥' ? value >= limit : value <= limit)];
  });
  return align([['', 'measured', '', 'goal', 'met'], ...lines]);
}

export function growthTable(rows: readonly GrowthRow[]): string {
  const head = ['', 'tokens', 'layers', 'width', 'GMAC', 'ms', 'best', 'ps/MAC', 'GOPS', 'fast product alone', 'of it'];
  const lines = rows.map(({ name, shape, image, product }) => {
    const [own, ceiling] = [gops(image), gops(product)];
    const counts = [shape.tokens, shape.layers, shape.width].map(String);
    const ms = [decimals(median(image.ms)), decimals(Math.min(...image.ms))];
    const perMac = (median(image.ms) * 1e9) / image.macs;
    const share = `${((100 * own) / ceiling).toFixed(0)} %`;
    const macs = (image.macs / 1e9).toFixed(2);
    return [name, ...counts, macs, ...ms, perMac.toFixed(1), own.toFixed(1), ceiling.toFixed(1), share];
  });
  return align([head, ...lines]);
}

/** `imageSpeedup` and the like, all in one flat object, and the growth table's rows. */
export function figuresOf({ runtimes = [], figures = [], growth = [] }: EngineRows): Record<string, unknown> {
  const round = (x: number) => Number(x.toPrecision(6));
  return {
    ...Object.fromEntries(runtimes.map((row) => [`${row.key}Speedup`, round(speedup(row))])),
    ...Object.fromEntries(figures.map(({ key, value }) => [key, value])),
    milliseconds: Object.fromEntries(
      runtimes.map(({ key, engine, onnx }) => [
        key,
        { engine: round(median(engine)), onnxruntime: round(median(onnx)), runs: engine.length },
      ]),
    ),
    growth: growth.map(({ name, shape, image, product }) => ({
      name,
      ...shape,
      macs: image.macs,
      ms: round(median(image.ms)),
      gops: round(gops(image)),
      productGops: round(gops(product)),
    })),
  };
}
