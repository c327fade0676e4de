/**
 * A model file where it lies in the engine's memory: a safetensors container whose tensors are read in place.
 * The whole file is brought there first, in chunks of any size; this checks that it is what the architecture needs.
 */
import { readSafeTensorsHeader, SafeTensorsError } from '../clip/safetensors.ts';
import { EngineError } from './engine-error.ts';
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
 * @param file safetensors with exactly the tensors of `specs`, float32 at multiples of 4 bytes
 * @throws EngineError naming the tensor, and what it has and should have
 */
export function locateTensors(file: Uint8Array<ArrayBuffer>, specs: readonly TensorSpec[]): TensorOffsets {
  const { entries, start } = readHeader(file);
  const offsets = new Map<string, number>();
  for (const spec of specs) {
    const entry = entries.get(spec.name);
    if (entry) offsets.set(spec.name, start + locate(spec, entry, file.length - start));
    else if (!spec.optional) throw new EngineError(`tensor "${spec.name}" is missing`);
    if (spec.dtype === 'F32' && entry) checkFinite(spec, file, offsets.get(spec.name)!);
    entries.delete(spec.name);
  }
  for (const name of entries.keys()) {
    if (!name.startsWith(PADDING)) throw new EngineError(`tensor "${name}" is not one of this architecture`);
  }
  return offsets;
}

function readHeader(file: Uint8Array): { entries: Map<string, unknown>; start: number } {
  const { header, start } = asEngineError(() => readSafeTensorsHeader(file));
  const entries = new Map<string, unknown>(Object.entries(header));
  const { format } = (entries.get('__metadata__') ?? {}) as { format?: unknown };
  if (format !== FORMAT) throw new EngineError(`its format is ${format}, not ${FORMAT}`);
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

/** @returns the tensor's offset in the data section, which has `dataBytes` */
function locate({ name, dtype, shape }: TensorSpec, entry: unknown, dataBytes: number): number {
  const found = (entry ?? {}) as { dtype?: unknown; shape?: unknown; data_offsets?: unknown };
  if (found.dtype !== dtype) throw new EngineError(`tensor "${name}" is ${found.dtype}, not ${dtype}`);
  if (String(found.shape) !== String(shape)) {
    throw new EngineError(`tensor "${name}" is [${found.shape}], its architecture needs [${shape}]`);
  }
  const [begin, end] = (Array.isArray(found.data_offsets) ? found.data_offsets : []) as number[];
  const bytes = shape.reduce((product, n) => product * n, BYTES[dtype]);
  if (!Number.isSafeInteger(begin) || begin < 0 || end - begin !== bytes) {
    throw new EngineError(`tensor "${name}" has ${end - begin} bytes, its shape needs ${bytes}`);
  }
  if (end > dataBytes) throw new EngineError(`tensor "${name}" ends at byte ${end} of ${dataBytes}`);
  return begin;
}

/** Every embedding would be NaN, and refused, but only when the first picture comes. */
function checkFinite({ name, shape }: TensorSpec, file: Uint8Array<ArrayBuffer>, offset: number): void {
  const at = file.byteOffset + offset;
  if (at % 4 > 0) throw new EngineError(`tensor "${name}" begins at byte ${offset}, not at a multiple of 4`);
  const floats = new Float32Array(
    file.buffer,
    at,
    shape.reduce((product, n) => product * n, 1),
  );
  const i = floats.findIndex((x) => !Number.isFinite(x));
  if (i >= 0) throw new EngineError(`tensor "${name}" has ${floats[i]} at ${i}`);
}
