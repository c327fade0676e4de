/** Starts Workers in workerd, each in a fresh process, and calls the tasks of the bench's own. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createTestHarness } from 'wrangler';
import { residentBytes } from './process-memory.ts';
import type { Tasks } from './worker.ts';

// as in vitest.config.ts: nothing of this needs the network
process.env.CLOUDFLARE_CF_FETCH_ENABLED = 'false';
process.env.WRANGLER_SEND_METRICS = 'false';
process.env.WRANGLER_HIDE_BANNER = 'true';

export const root = join(import.meta.dirname, '../..');

export interface Bench {
  /** Puts something into the Worker's memory, for the tasks that come. */
  hold(body: Uint8Array<ArrayBuffer> | object): Promise<void>;
  run<T extends keyof Tasks>(task: T, options?: Parameters<Tasks[T]>[1]): Promise<Awaited<ReturnType<Tasks[T]>>>;
  /** Of workerd, where /proc tells it. */
  pid: number | undefined;
}

/** @param config path of a wrangler.toml from the repository's root */
export async function withWorker<T>(config: string, use: (url: URL, pid?: number) => Promise<T>): Promise<T> {
  const others = new Set(childProcesses());
  const harness = createTestHarness({ workers: [{ configPath: join(root, config) }] });
  try {
    const { url } = await harness.listen();
    const started = childProcesses().filter((child) => !others.has(child));
    return await use(url, largest(started));
  } finally {
    await harness.close();
  }
}

export function withBench<T>(use: (bench: Bench) => Promise<T>): Promise<T> {
  return withWorker('test/bench/wrangler.toml', (url, pid) => use(connect(url, pid)));
}

function connect(url: URL, pid: number | undefined): Bench {
  return {
    pid,
    async hold(body) {
      await send(url, 'PUT', body instanceof Uint8Array ? body : JSON.stringify(body));
    },
    async run(task, options = {} as never) {
      const target = new URL(`/${task}`, url);
      target.searchParams.set('options', JSON.stringify(options));
      return (await send(target, 'POST')).json() as never;
    },
  };
}

async function send(url: URL, method: string, body?: BodyInit): Promise<Response> {
  const response = await fetch(url, { method, body });
  if (!response.ok) throw new Error(`${url.pathname}: ${await response.text()}`);
  return response;
}

/** Wrangler puts a proxy in front, in a workerd of its own: the Worker's is the bigger one. */
function largest(pids: readonly number[]): number | undefined {
  return pids.toSorted((a, b) => residentBytes(b) - residentBytes(a))[0];
}

/** The workerd processes that this process has started. */
function childProcesses(): number[] {
  if (process.platform !== 'linux') return [];
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && isOurWorkerd(name))
    .map(Number);
}

function isOurWorkerd(pid: string): boolean {
  try {
    const [, name, parent] = /^\d+ \((.*)\) \S (\d+)/s.exec(readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? [];
    return name === 'workerd' && Number(parent) === process.pid;
  } catch {
    return false; // it has just ended
  }
}
