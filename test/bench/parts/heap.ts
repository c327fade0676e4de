import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { peakDuring } from '../process-memory.ts';
import type { StageRow } from '../report.ts';
import { root, withBench } from '../workerd.ts';

/** onnxruntime's heap after a first answer, and the process's peak during it, each in a fresh process. */
export async function benchHeap(): Promise<StageRow[]> {
  return [
    await heapAfter('onnxruntime after a first answer, image encoder only', []),
    await heapAfter('onnxruntime after a first answer, with text encoder', ['a photo of a cat.']),
  ];
}

async function heapAfter(name: string, prompts: string[]): Promise<StageRow> {
  const photo = new Uint8Array(await readFile(join(root, 'samples/chelsea.png')));
  return withBench(async (bench) => {
    await bench.hold(photo);
    let wasmBytes = 0;
    const peakBytes = await peakDuring(bench.pid, async () => {
      wasmBytes = (await bench.run('firstAnswer', { prompts })).heapBytes;
    });
    return { name, ms: [], wasmBytes, peakBytes };
  });
}
