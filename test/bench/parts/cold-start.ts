/** The real Worker in fresh processes: from a first request to its answer. The process's own start is not in it. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { StageRow } from '../report.ts';
import { root, withWorker } from '../workerd.ts';

const PROCESSES = 5;

export async function benchColdStart(): Promise<StageRow[]> {
  const photo = new Uint8Array(await readFile(join(root, 'samples/chelsea.png')));
  const adHoc = '/v1/classify?labels=cat,dog,coffee';
  const [builtIn, engine, onnx] = await answers(photo, [
    { config: 'wrangler.toml', path: '/v1/classify' },
    { config: 'wrangler.toml', path: adHoc },
    { config: 'test/edge/onnx.toml', path: adHoc },
  ]);
  return [
    { name: 'cold start: first answer, built-in labels', ms: builtIn.first },
    { name: '… and the second', ms: builtIn.second },
    { name: 'cold start: first answer, 3 labels of the request', ms: engine.first },
    { name: '… and the second', ms: engine.second },
    { name: '… on onnxruntime-web, first', ms: onnx.first },
    { name: '… and the second', ms: onnx.second },
  ];
}

interface Question {
  config: string;
  path: string;
}

/** All in turns, each time in a fresh process. */
async function answers(photo: Uint8Array<ArrayBuffer>, questions: readonly Question[]) {
  const times = questions.map(() => ({ first: [] as number[], second: [] as number[] }));
  for (let i = 0; i < PROCESSES; i++) {
    for (const [k, { config, path }] of questions.entries()) {
      await withWorker(config, async (url) => {
        times[k].first.push(await timeRequest(new URL(path, url), photo));
        times[k].second.push(await timeRequest(new URL(path, url), photo));
      });
    }
  }
  return times;
}

async function timeRequest(url: URL, body: Uint8Array<ArrayBuffer>): Promise<number> {
  const start = performance.now();
  const response = await fetch(url, { method: 'POST', body });
  const text = await response.text();
  if (!response.ok) throw new Error(text);
  return performance.now() - start;
}
