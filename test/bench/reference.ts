/** The Worker's embeddings of photos, through HTTP, against PyTorch's of the same files. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readSafeTensors } from '../../src/clip/safetensors.ts';
import { embed } from './embed.ts';
import { runExporter } from './exporter.ts';
import { withWorker } from './workerd.ts';

export interface ReferenceOptions {
  /** folder or hub name of the default model's CLIPModel */
  checkpoint?: string;
  /** lists of `file<TAB>label`, each beside a folder of its name */
  photos?: string[];
}

/** Of each list. */
const COUNT = 250;
const BATCH = 16;

/** @returns a cosine for each photo, or undefined where there is no checkpoint or no Python to read it */
export async function photoCosines({ checkpoint, photos = [] }: ReferenceOptions): Promise<number[] | undefined> {
  if (!checkpoint) return undefined;
  const cosines: number[] = [];
  for (const list of photos) {
    const folder = list.replace(/\.tsv$/, '');
    const expected = await reference(checkpoint, list, folder);
    if (!expected) return undefined;
    const lines = (await readFile(list, 'utf8')).split('\n').slice(0, COUNT);
    const found = await embeddings(lines.map((line) => join(folder, line.split('\t')[0])));
    cosines.push(...found.map((row, i) => dot(row, expected.subarray(i * row.length, (i + 1) * row.length))));
  }
  return cosines.length > 0 ? cosines : undefined;
}

const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, x, i) => sum + x * b[i], 0);

async function reference(checkpoint: string, list: string, folder: string): Promise<Float32Array | undefined> {
  const scratch = await mkdtemp(join(tmpdir(), 'edgeclip-reference-'));
  try {
    const out = join(scratch, 'embeddings.safetensors');
    const options = ['--images', list, '--image-folder', folder, '--count', String(COUNT), '--out', out];
    const made = await runExporter('PyTorch', 'reference_embeddings', [checkpoint, ...options]);
    if (!made) return undefined;
    return readSafeTensors(await readFile(out)).tensors.get('embeddings')!.data as Float32Array;
  } finally {
    await rm(scratch, { recursive: true });
  }
}

function embeddings(files: readonly string[]): Promise<Float32Array[]> {
  return withWorker('wrangler.toml', async (url) => {
    const rows: Float32Array[] = [];
    for (let start = 0; start < files.length; start += BATCH) {
      const images = await Promise.all(files.slice(start, start + BATCH).map((file) => readFile(file, 'base64')));
      rows.push(...(await embed(url, { input: images.map((image) => ({ image })) })));
    }
    return rows;
  });
}
