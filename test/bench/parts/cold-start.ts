/** The real Worker in fresh processes: from a first request to its answer. The process's own start is not in it. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { StageRow } from '../report.ts';
import { root, withWorker } from '../workerd.ts';

const PROCESSES = 5;

export async function benchColdStart(): Promise<StageRow[]> {
  const photo = new Uint8Array(await readFile(join(root, 'samples/chelsea.png')));
  const builtIn = await answers(photo, '/v1/classify');
  const adHoc = await answers(photo, '/v1/classify?labels=cat,dog,coffee');
  return [
    { name: 'cold start: first answer, built-in labels', ms: builtIn.first },
    { name: '… and the second', ms: builtIn.second },
    { name: 'cold start: first answer, 3 labels of the request', ms: adHoc.first },
    { name: '… and the second', ms: adHoc.second },
  ];
}

async function answers(photo: Uint8Array<ArrayBuffer>, path: string) {
  const times = { first: [] as number[], second: [] as number[] };
  for (let i = 0; i < PROCESSES; i++) {
    await withWorker('wrangler.toml', async (url) => {
      times.first.push(await timeRequest(new URL(path, url), photo));
      times.second.push(await timeRequest(new URL(path, url), photo));
    });
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
