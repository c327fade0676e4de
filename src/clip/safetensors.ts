/**
 * The safetensors container: 8 bytes of header length (little-endian), a JSON header, the tensors' bytes
 * (https://github.com/huggingface/safetensors#format). Reads F32, F16 and U8; writes F32.
 */

export interface Tensor {
  shape: readonly number[];
  /** F16 is widened on reading; U8 stays bytes. */
  data: Float32Array | Uint8Array;
}

export interface SafeTensors {
  tensors: ReadonlyMap<string, Tensor>;
  metadata: Readonly<Record<string, string>>;
}

/** Something about the file is not as the format has it; the message says what. */
export class SafeTensorsError extends Error {
  override readonly name = 'SafeTensorsError';
}

const MAX_HEADER_BYTES = 16 * 1024 * 1024;
const BYTES_PER_ELEMENT: Record<string, number> = { F32: 4, F16: 2, U8: 1 };

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** IEEE 754 half precision. */
function halfToFloat(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/**
 * @returns the JSON header, and where the data begin
 * @throws SafeTensorsError
 */
export function readSafeTensorsHeader(bytes: Uint8Array): { header: Record<string, unknown>; start: number } {
  if (bytes.length < 8) throw new SafeTensorsError(`${bytes.length} bytes are too few for a safetensors file`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = Number(view.getBigUint64(0, true));
  const start = 8 + length;
  if (length > MAX_HEADER_BYTES || start > bytes.length) {
    throw new SafeTensorsError(`its header claims ${length} bytes, the file has ${bytes.length}`);
  }
  try {
    const header: unknown = JSON.parse(
      new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes.subarray(8, start)),
    );
    if (isRecord(header)) return { header, start };
  } catch (cause) {
    throw new SafeTensorsError('its header is not JSON', { cause });
  }
  throw new SafeTensorsError('its header is not a JSON object');
}

function readTensor(name: string, entry: unknown, body: Uint8Array): Tensor {
  if (!isRecord(entry)) throw new SafeTensorsError(`tensor "${name}" is not described by an object`);
  const { dtype, shape, data_offsets: offsets } = entry;
  const elementBytes = typeof dtype === 'string' ? BYTES_PER_ELEMENT[dtype] : undefined;
  if (!elementBytes) throw new SafeTensorsError(`tensor "${name}" is ${dtype}; F32, F16 and U8 are read`);
  const whole = (x: unknown): x is number => Number.isSafeInteger(x) && (x as number) >= 0;
  if (!Array.isArray(shape) || !shape.every(whole)) throw new SafeTensorsError(`tensor "${name}" has no shape`);
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(whole)) {
    throw new SafeTensorsError(`tensor "${name}" has no data_offsets`);
  }
  const [begin, end] = offsets as number[];
  const count = shape.reduce((product: number, n: number) => product * n, 1);
  if (end > body.length || end - begin !== count * elementBytes) {
    throw new SafeTensorsError(`tensor "${name}" [${shape}] does not fit its ${end - begin} of ${body.length} bytes`);
  }
  const raw = new Uint8Array(body.subarray(begin, end)); // a copy: tensors need not be aligned
  if (dtype === 'U8') return { shape, data: raw };
  if (dtype === 'F32') return { shape, data: new Float32Array(raw.buffer) };
  return { shape, data: Float32Array.from(new Uint16Array(raw.buffer), halfToFloat) };
}

/** @throws SafeTensorsError */
export function readSafeTensors(bytes: Uint8Array): SafeTensors {
  const { header, start } = readSafeTensorsHeader(bytes);
  const body = bytes.subarray(start);
  const metadata: Record<string, string> = {};
  if (isRecord(header.__metadata__)) {
    for (const [key, value] of Object.entries(header.__metadata__)) {
      if (typeof value !== 'string') throw new SafeTensorsError(`metadata "${key}" is not a string`);
      metadata[key] = value;
    }
  }
  const tensors = new Map<string, Tensor>();
  for (const [name, entry] of Object.entries(header)) {
    if (name !== '__metadata__') tensors.set(name, readTensor(name, entry, body));
  }
  return { tensors, metadata };
}

/** One float32 tensor with metadata. The header is padded with spaces so that the data begins at a multiple of 8. */
export function writeSafeTensors(
  name: string,
  tensor: { shape: readonly number[]; data: Float32Array },
  metadata: Record<string, string>,
): Uint8Array<ArrayBuffer> {
  const { shape, data } = tensor;
  const entry = { dtype: 'F32', shape, data_offsets: [0, data.byteLength] };
  const json = new TextEncoder().encode(JSON.stringify({ __metadata__: metadata, [name]: entry }));
  const headerBytes = Math.ceil(json.length / 8) * 8;
  const bytes = new Uint8Array(8 + headerBytes + data.byteLength);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerBytes), true);
  bytes.fill(0x20, 8, 8 + headerBytes);
  bytes.set(json, 8);
  bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), 8 + headerBytes);
  return bytes;
}
