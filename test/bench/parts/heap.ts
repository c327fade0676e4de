import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { TINY } from '../bundles.ts';
import { peakDuring } from '../process-memory.ts';
import type { StageRow } from '../report.ts';
import { root, withBench } from '../workerd.ts';

/** The runtime's memory after a first answer, and the process's peak during it, each in a fresh process. */
export async function benchHeap(): Promise<StageRow[]> {
  const prompts = ['a photo of a cat.'];
  return [
    await heapAfter('memory of the engine after a first answer, image encoder only', { id: TINY.engine, prompts: [] }),
    await heapAfter('… with text encoder', { id: TINY.engine, prompts }),
    await heapAfter('… of onnxruntime-web, image encoder only', { id: TINY.onnx, prompts: [] }),
    await heapAfter('… with text encoder', { id: TINY.onnx, prompts }),
  ];
}

async function heapAfter(name: string, options: { id: string; prompts: string[] }): Promise<StageRow> {
  const photo = new Uint8Array(await readFile(join(root, 'samples/chelsea.png')));
  return withBench(async (bench) => {
    await bench.hold(photo);
    let wasmBytes = 0;
    const peakBytes = await peakDuring(bench.pid, async () => {
      wasmBytes = (await bench.run('firstAnswer', options)).heapBytes;
    });
    return { name, ms: [], wasmBytes, peakBytes };
  });
}
