/** The files of model bundles, from static assets and, where there is one, an R2 bucket. Every byte is checked. */
import type { BundleFile } from '../clip/bundle-file.ts';
import { ClipError } from '../clip/errors.ts';
import type { ModelManifest } from '../clip/model-manifest.ts';
import { sha256 } from './sha256.ts';

/**
 * @param path like "tiny-64/model.json"
 * @param storage where it should lie: there it is looked for first
 * @returns null if there is no such file
 */
export type OpenFile = (path: string, storage?: Storage) => Promise<ReadableStream<Uint8Array> | null>;

type Storage = ModelManifest['storage'];

/** What of a bucket is used: R2's, or an object literal in a test. */
export interface Bucket {
  get(key: string): Promise<{ body: ReadableStream<Uint8Array> | null } | null>;
}

/** Looks in the assets, under /models/, and in the bucket, under models/; in the assets first if it is not said. */
export function createOpenFile(assets: Pick<Fetcher, 'fetch'>, bucket?: Bucket): OpenFile {
  const places: Record<Storage, (path: string) => Promise<ReadableStream<Uint8Array> | null>> = {
    async assets(path) {
      // the host is not looked at
      const response = await assets.fetch(`https://assets/models/${path}`);
      if (response.status === 200) return response.body;
      await response.body?.cancel();
      return null;
    },
    r2: async (path) => (await bucket?.get(`models/${path}`))?.body ?? null,
  };
  return async (path, storage = 'assets') =>
    (await places[storage](path)) ?? places[storage === 'assets' ? 'r2' : 'assets'](path);
}

/** A file whose length and sha256 nobody has said. */
export async function readFile(openFile: OpenFile, path: string): Promise<ArrayBuffer | null> {
  const stream = await openFile(path);
  return stream && new Response(stream).arrayBuffer();
}

export interface BundleParts {
  /** the model's id */
  folder: string;
  parts: readonly BundleFile[];
}

export const bytesOf = (parts: readonly BundleFile[]): number => parts.reduce((sum, { bytes }) => sum + bytes, 0);

/**
 * Reads a file of a bundle, joined from its parts, as it comes, to where it is wanted: there is no second copy of it.
 * @param target of as many bytes as the parts have
 * @throws model_unavailable if a part is missing, or its length or sha256 is not the manifest's
 */
export async function readBundleInto(
  openFile: OpenFile,
  { folder, parts }: BundleParts,
  target: Uint8Array<ArrayBuffer>,
): Promise<void> {
  let offset = 0;
  for (const part of parts) {
    await readPart(openFile, { folder, part }, target.subarray(offset, offset + part.bytes));
    offset += part.bytes;
  }
}

/** The same into memory of its own. */
export async function readBundleFile(
  openFile: OpenFile,
  folder: string,
  parts: readonly BundleFile[],
): Promise<Uint8Array<ArrayBuffer>> {
  const whole = new Uint8Array(bytesOf(parts));
  await readBundleInto(openFile, { folder, parts }, whole);
  return whole;
}

async function readPart(
  openFile: OpenFile,
  { folder, part }: { folder: string; part: BundleFile },
  target: Uint8Array<ArrayBuffer>,
): Promise<void> {
  const path = `${folder}/${part.path}`;
  const fail = (what: string): never => {
    throw new ClipError('model_unavailable', `The model's file ${path} ${what}; deploy or publish the bundle again.`);
  };
  const stream = (await openFile(path)) ?? fail('is missing');
  let length = 0;
  for await (const chunk of inLargePieces(stream, part.bytes)) {
    if (length + chunk.length > part.bytes) fail(`has more bytes than the ${part.bytes} of its manifest`);
    target.set(chunk, length);
    length += chunk.length;
  }
  if (length !== part.bytes) fail(`has ${length} bytes, its manifest says ${part.bytes}`);
  if ((await sha256(target)) !== part.sha256) fail('has not the sha256 of its manifest');
}

const PIECE_BYTES = 256 * 1024;

/** `min` is in the Streams standard, and in workerd; its types do not know it yet. */
type Read = (into: Uint8Array, options: { min: number }) => Promise<{ value?: Uint8Array<ArrayBuffer>; done: boolean }>;

/**
 * The chunks of an asset are of some kB, and each costs a turn of the event loop: in pieces of 256 KiB a cold start takes
 * a tenth less. Pieces of 1 and 4 MiB take 1 and 4 ms longer, as they leave the processor's cache before they are copied.
 * A piece is only lent until the next.
 * @param bytes as many as should come: some streams refuse to be waited on for more than is left
 */
async function* inLargePieces(stream: ReadableStream<Uint8Array>, bytes: number): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader({ mode: 'byob' });
  const read = reader.read.bind(reader) as unknown as Read;
  let buffer = new ArrayBuffer(PIECE_BYTES);
  let left = bytes;
  try {
    for (;;) {
      const min = Math.max(1, Math.min(left, PIECE_BYTES));
      const { value, done } = await read(new Uint8Array(buffer), { min });
      if (value?.length) yield value;
      if (done || !value) return;
      left -= value.length;
      buffer = value.buffer;
    }
  } finally {
    await reader.cancel();
  }
}
