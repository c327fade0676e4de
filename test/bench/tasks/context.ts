/** What a task of the bench's Worker gets, and how it takes the time. */
import type { ModelManifest } from '../../../src/clip/model-manifest.ts';
import type { OpenFile } from '../../../src/runtime/bundle.ts';

export interface Context {
  /** What the host sent before. */
  held: Uint8Array<ArrayBuffer>;
  /** Of the default model. */
  manifest: ModelManifest;
  manifestOf(id: string): Promise<ModelManifest>;
  openFile: OpenFile;
}

export const heldJson = <T>({ held }: Context): T => JSON.parse(new TextDecoder().decode(held));

/** Locally workerd's clock goes on while code runs, in steps of 1 ms; on Cloudflare all this would read 0. */
export async function timed(work: () => unknown): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** What a sample lasts at least, for the clock's steps to be small against it. */
const SAMPLE_MS = 50;

/** @returns how many calls make up a sample; at the end `work` is warm */
async function calibrate(work: () => unknown): Promise<number> {
  await work();
  for (let calls = 1; ; calls *= 2) {
    if ((await timed(() => repeat(work, calls))) >= SAMPLE_MS) return calls;
  }
}

async function repeat(work: () => unknown, calls: number): Promise<void> {
  for (let call = 0; call < calls; call++) await work();
}

/** @returns milliseconds of a call, `runs` times; with 0 runs it is called just once */
export async function sample(runs: number, work: () => unknown): Promise<number[]> {
  if (runs === 0) await work();
  const calls = runs === 0 ? 0 : await calibrate(work);
  const times: number[] = [];
  for (let run = 0; run < runs; run++) times.push((await timed(() => repeat(work, calls))) / calls);
  return times;
}

export interface Contest {
  ours: () => unknown;
  library: () => unknown;
}

/** `only` one of the two, once: for its memory. */
export interface ContestOptions {
  runs: number;
  only?: keyof Contest;
}

/** Both in turns, so that whatever else the machine does hits both. @returns milliseconds of a call, `runs` times each */
export async function sampleContest({ ours, library }: Contest, { runs, only }: ContestOptions) {
  const times = { ours: [] as number[], library: [] as number[] };
  if (only) {
    await { ours, library }[only]();
    return times;
  }
  const calls = { ours: await calibrate(ours), library: await calibrate(library) };
  for (let run = 0; run < runs; run++) {
    times.ours.push((await timed(() => repeat(ours, calls.ours))) / calls.ours);
    times.library.push((await timed(() => repeat(library, calls.library))) / calls.library);
  }
  return times;
}
