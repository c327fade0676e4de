import { crc32, deflateSync } from 'node:zlib';

export interface PngPlan {
  width: number;
  height: number;
  depth: number;
  colourType: number;
  interlaced?: boolean;
  /** Sample `channel` of pixel (x, y), 0 to 2 ** depth - 1. */
  sample(x: number, y: number, channel: number): number;
  palette?: number[];
  /** Chunks between the header and the pixels. */
  chunks?: Uint8Array[];
}

const CHANNELS: Record<number, number> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };
const ADAM7 = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
];

/** A PNG that goes through all five filters, one row each. */
export function makePng(plan: PngPlan): Uint8Array {
  const stream: Buffer[] = [];
  for (const [left, top, dx, dy] of plan.interlaced ? ADAM7 : [[0, 0, 1, 1]]) {
    const width = Math.ceil((plan.width - left) / dx);
    if (width <= 0) continue;
    let previous: Buffer | undefined;
    for (let y = top, n = 0; y < plan.height; y += dy, n++) {
      const row = packRow(
        plan,
        Array.from({ length: width }, (_, i) => left + i * dx),
        y,
      );
      stream.push(filterRow(row, previous ?? Buffer.alloc(row.length), { filter: n % 5, plan }));
      previous = row;
    }
  }
  return wrapPng(plan, deflateSync(Buffer.concat(stream)));
}

export function wrapPng(plan: Omit<PngPlan, 'sample'>, compressed: Uint8Array): Uint8Array {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(plan.width, 0);
  header.writeUInt32BE(plan.height, 4);
  header.set([plan.depth, plan.colourType, 0, 0, plan.interlaced ? 1 : 0], 8);
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    pngChunk('IHDR', header),
    ...(plan.palette ? [pngChunk('PLTE', Uint8Array.from(plan.palette))] : []),
    ...(plan.chunks ?? []),
    // Two chunks, so that the stream has a seam.
    pngChunk('IDAT', compressed.subarray(0, compressed.length >> 1)),
    pngChunk('IDAT', compressed.subarray(compressed.length >> 1)),
    pngChunk('IEND', new Uint8Array(0)),
  ]);
}

export function pngChunk(type: string, body: Uint8Array): Uint8Array {
  const chunk = Buffer.alloc(12 + body.length);
  chunk.writeUInt32BE(body.length, 0);
  chunk.write(type, 4, 'latin1');
  chunk.set(body, 8);
  chunk.writeUInt32BE(crc32(chunk.subarray(4, 8 + body.length)), 8 + body.length);
  return chunk;
}

function packRow({ depth, colourType, sample }: PngPlan, columns: number[], y: number): Buffer {
  const channels = CHANNELS[colourType];
  const samples = columns.flatMap((x) => Array.from({ length: channels }, (_, channel) => sample(x, y, channel)));
  if (depth === 16) return Buffer.from(samples.flatMap((value) => [value >> 8, value & 255]));
  const row = Buffer.alloc(Math.ceil((samples.length * depth) / 8));
  samples.forEach((value, i) => {
    row[(i * depth) >> 3] |= value << (8 - depth - ((i * depth) & 7));
  });
  return row;
}

function filterRow(row: Buffer, previous: Buffer, { filter, plan }: { filter: number; plan: PngPlan }): Buffer {
  const back = Math.max(1, (plan.depth * CHANNELS[plan.colourType]) >> 3);
  const out = Buffer.alloc(row.length + 1);
  out[0] = filter;
  for (let i = 0; i < row.length; i++) {
    const [a, b, c] = [row[i - back] ?? 0, previous[i], previous[i - back] ?? 0];
    const p = a + b - c;
    const [pa, pb, pc] = [Math.abs(p - a), Math.abs(p - b), Math.abs(p - c)];
    const paeth = pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
    out[i + 1] = row[i] - [0, a, b, (a + b) >> 1, paeth][filter];
  }
  return out;
}
