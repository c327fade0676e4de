/** A fresh process each: instantiate, load the image encoder, encode an image; and the memory that this leaves. */
import { TINY, vitBundle } from '../bundles.ts';
import type { EngineRows, FigureRow } from '../engine-report.ts';
import { MEBI } from '../report.ts';
import { withBench } from '../workerd.ts';

const PROCESSES = 7;

const firstEmbedding = (id: string) => withBench((bench) => bench.run('firstEmbedding', { id }));

/** In turns. The process's own start is not in it. */
export async function benchCold(): Promise<EngineRows> {
  const times = { engine: [] as number[], onnx: [] as number[] };
  for (let i = 0; i < PROCESSES; i++) {
    times.engine.push((await firstEmbedding(TINY.engine)).ms);
    times.onnx.push((await firstEmbedding(TINY.onnx)).ms);
  }
  return { runtimes: [{ name: 'an image, cold: start, load, encode', key: 'cold', ...times, goal: 12 }] };
}

export async function benchModelMemory(): Promise<EngineRows> {
  const vit = await vitBundle({ patch: 32, runtime: 'engine' });
  const tiny = await heapOf('tiny-64', 'tiny64', TINY.engine, LIMIT);
  const rows = vit ? [...tiny, ...(await heapOf('ViT-B/32', 'vitB32', vit, LIMIT))] : tiny;
  const over = rows.filter(({ key }) => key.endsWith('OverModelMiB')).map(({ value }) => value);
  const name = 'the most of these';
  return { figures: [...rows, { name, key: 'heapOverModelMiB', value: Math.max(...over), unit: 'MiB', goal: LIMIT }] };
}

const LIMIT = { most: 3 };

export async function heapOf(name: string, key: string, id: string, goal?: FigureRow['goal']): Promise<FigureRow[]> {
  const { heapBytes, modelBytes } = await firstEmbedding(id);
  const mebi = (bytes: number) => Number((bytes / MEBI).toFixed(2));
  const over = { value: mebi(heapBytes - modelBytes), unit: 'MiB', goal };
  return [
    { name: `${name}: memory after a first image`, key: `${key}HeapMiB`, value: mebi(heapBytes), unit: 'MiB' },
    { name: '… above the bytes of the model', key: `${key}HeapOverModelMiB`, ...over },
  ];
}
