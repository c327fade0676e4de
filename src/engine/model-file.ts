/**
 * A model file where it lies in the engine's memory: a safetensors container whose tensors are read in place.
 * The whole file is brought there first, in chunks of any size; this checks that it is what the architecture needs.
 */
import { readSafeTensorsHeader, SafeTensorsError } from '../clip/safetensors.ts';
import { EngineError } from './engine-error.ts';
import type { Kernels } from './kernels.ts';
import type { TensorSpec } from './tensors.ts';

/** A file to be brought into memory. */
export interface ModelFile {
  bytes: number;
  /** Fills `target`, which has as many bytes, with the file; checks its sha256. */
  readInto(target: Uint8Array<ArrayBuffer>): Promise<void>;
}

/** name → its offset in the file */
export type TensorOffsets = ReadonlyMap<string, number>;

const FORMAT = 'edgeclip-engine/1';
/** safetensors has no holes: what aligns the tensors is a tensor itself. */
const PADDING = 'pad.';
const BYTES = { I8: 1, I32: 4, F32: 4 };

/**
 * @param file in the memory of the kernels; safetensors with exactly the tensors of `specs`, whose bytes neither overlap nor leave any out, numbers of 4
 * bytes at multiples of 4
 * @throws EngineError naming the tensor, and what it has and should have
 */
export function locateTensors(
  { allWithin }: Pick<Kernels, 'allWithin'>,
  file: Uint8Array<ArrayBuffer>,
  specs: readonly TensorSpec[],
): TensorOffsets {
  const { entries, start } = readHeader(file);
  const offsets = new Map<string, number>();
  const spans: Span[] = [];
  for (const spec of specs) {
    const entry = entries.get(spec.name);
    if (!entry && spec.optional) continue;
    if (!entry) throw new EngineError(`tensor "${spec.name}" is missing`);
    const span = locate(spec, entry, file.length - start);
    spans.push(span);
    offsets.set(spec.name, start + span.begin);
    checkValues(allWithin, spec, { file, offset: start + span.begin });
    entries.delete(spec.name);
  }
  for (const [name, entry] of entries) {
    if (!name.startsWith(PADDING)) throw new EngineError(`tensor "${name}" is not one of this architecture`);
    spans.push(spanOf(name, entry));
  }
  checkCover(spans, file.length - start);
  return offsets;
}

function readHeader(file: Uint8Array): { entries: Map<string, unknown>; start: number } {
  const { header, start } = asEngineError(() => readSafeTensorsHeader(file));
  const entries = new Map<string, unknown>(Object.entries(header));
  const { format } = (entries.get('__metadata__') ?? {}) as { format?: unknown };
  if (format !== FORMAT) throw new EngineError(`its format is ${JSON.stringify(format)}, not "${FORMAT}"`);
  entries.delete('__metadata__');
  return { entries, start };
}

function asEngineError<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof SafeTensorsError) throw new EngineError(error.message, { cause: error });
    throw error;
  }
}

/** A tensor's bytes, counted from where the data begin: from `begin` up to `end`. */
interface Span {
  name: string;
  begin: number;
  end: number;
}

type Entry = { dtype?: unknown; shape?: unknown; data_offsets?: unknown };

const elementsOf = (shape: readonly number[]) => shape.reduce((product, n) => product * n, 1);

function spanOf(name: string, entry: unknown): Span {
  const { data_offsets: offsets } = (entry ?? {}) as Entry;
  const whole = (x: unknown) => Number.isSafeInteger(x) && (x as number) >= 0;
  if (Array.isArray(offsets) && offsets.length === 2 && offsets.every(whole) && offsets[0] <= offsets[1]) {
    return { name, begin: offsets[0], end: offsets[1] };
  }
  throw new EngineError(`tensor "${name}" has the data_offsets ${JSON.stringify(offsets)}`);
}

/** @param dataBytes how many bytes of data there are */
function locate({ name, dtype, shape }: TensorSpec, entry: unknown, dataBytes: number): Span {
  const found = (entry ?? {}) as Entry;
  if (found.dtype !== dtype) throw new EngineError(`tensor "${name}" is ${found.dtype}, not ${dtype}`);
  if (JSON.stringify(found.shape) !== JSON.stringify(shape)) {
    throw new EngineError(`tensor "${name}" is [${found.shape}], its architecture needs [${shape}]`);
  }
  const span = spanOf(name, entry);
  const [bytes, needed] = [span.end - span.begin, elementsOf(shape) * BYTES[dtype]];
  if (bytes !== needed) throw new EngineError(`tensor "${name}" has ${bytes} bytes, its shape needs ${needed}`);
  if (span.end > dataBytes) throw new EngineError(`tensor "${name}" ends at byte ${span.end} of ${dataBytes}`);
  return span;
}

/** safetensors has no holes, and no two tensors share a byte. */
function checkCover(spans: Span[], dataBytes: number): void {
  let at = 0;
  for (const { name, begin, end } of spans.sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (begin !== at)
      throw new EngineError(`tensor "${name}" begins at byte ${begin}, the one before it ends at ${at}`);
    at = end;
  }
  if (at !== dataBytes) throw new EngineError(`its tensors end at byte ${at} of ${dataBytes}`);
}

/** With a NaN every embedding would be NaN, and refused, but only when the first picture comes. */
function checkValues(
  allWithin: Kernels['allWithin'],
  { name, dtype, shape, least = -Infinity }: TensorSpec,
  { file, offset }: { file: Uint8Array<ArrayBuffer>; offset: number },
): void {
  if (dtype === 'I8') return; // all bytes are such
  const at = file.byteOffset + offset;
  if (at % 4 > 0) throw new EngineError(`tensor "${name}" begins at byte ${offset}, not at a multiple of 4`);
  if (dtype === 'I32') return; // what they should be, fast-check.ts knows
  const count = elementsOf(shape);
  if (allWithin(at, count, least)) return;
  const floats = new Float32Array(file.buffer, at, count);
  const i = floats.findIndex((x) => !(Number.isFinite(x) && x >= least));
  throw new EngineError(
    `tensor "${name}" has ${floats[i]} at ${i}${Number.isFinite(floats[i]) ? `, below ${least}` : ''}`,
  );
}
