/** The pictures of the bench: a sample photo enlarged, with noise so that it compresses like a photo of that size. */
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { createRandom } from './random.ts';
import { root } from './workerd.ts';

export interface BenchPicture {
  name: string;
  width: number;
  height: number;
  format: 'jpeg' | 'progressive' | 'png';
}

const SIZES = { '0.2 MP': [516, 387], '1 MP': [1155, 866], '12 MP': [4000, 3000] } as const;
export type PictureSize = keyof typeof SIZES;

const NOISE = 20; // of 255, each way
const NAMES = { jpeg: 'JPEG', progressive: 'progressive JPEG', png: 'PNG' };
const CACHE = join(root, 'node_modules/.cache/edgeclip-bench');

export function picture(size: PictureSize, format: BenchPicture['format']): BenchPicture {
  const [width, height] = SIZES[size];
  return { name: `${size} ${NAMES[format]}`, width, height, format };
}

/** Makes the file at its first use. */
export async function readPicture({ width, height, format }: BenchPicture): Promise<Uint8Array<ArrayBuffer>> {
  const file = join(CACHE, `${format}-${width}x${height}`);
  if (!existsSync(file)) {
    await mkdir(CACHE, { recursive: true });
    await writeFile(file, await make({ width, height, format }));
  }
  return new Uint8Array(await readFile(file));
}

async function make({ width, height, format }: Omit<BenchPicture, 'name'>): Promise<Buffer> {
  const { data } = await sharp(join(root, 'samples/chelsea.png'))
    .removeAlpha()
    .resize(width, height, { fit: 'cover' })
    .raw()
    .toBuffer({ resolveWithObject: true });
  const random = createRandom(width);
  for (let i = 0; i < data.length; i++) {
    const noisy = data[i] + (random() + random() - 1) * NOISE;
    data[i] = Math.max(0, Math.min(255, Math.round(noisy)));
  }
  const image = sharp(data, { raw: { width, height, channels: 3 } });
  if (format === 'png') return image.png().toBuffer();
  return image.jpeg({ quality: 88, chromaSubsampling: '4:2:0', progressive: format === 'progressive' }).toBuffer();
}
