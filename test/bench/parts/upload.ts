/** What a default deployment uploads. */
import { bytesOf, dryRun } from '../../upload.ts';
import type { EngineRows } from '../engine-report.ts';

export async function benchUpload(): Promise<EngineRows> {
  const files = await dryRun();
  const engine = bytesOf(files.filter(({ name }) => /engine[^/]*\.wasm$/.test(name)));
  const [unit, all] = ['bytes', bytesOf(files)];
  return {
    figures: [
      { name: 'WebAssembly of the engine', key: 'engineWasmBytes', value: engine, unit, goal: { most: 60e3 } },
      { name: 'the Worker, all in all', key: 'workerBytes', value: all, unit, goal: { most: 1e6 } },
    ],
  };
}
