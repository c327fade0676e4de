/** The models of the bench, in build/bench/models, where its Worker finds them. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { cp, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Pair } from './tasks/runtimes.ts';
import { root } from './workerd.ts';

const MODELS = join(root, 'build/bench/models');
const EXPORTER = join(root, 'model-export');

/** The default model, and the same checkpoint for onnxruntime-web. */
export const TINY: Pair = { engine: 'tiny-64', onnx: 'tiny-64-onnx' };

/** Those of the repository. */
export async function copyBundles(): Promise<void> {
  await mkdir(MODELS, { recursive: true });
  for (const source of [`public/models/${TINY.engine}`, `test/fixtures/onnx/models/${TINY.onnx}`]) {
    const target = join(MODELS, source.split('/').at(-1)!);
    await rm(target, { recursive: true, force: true });
    await cp(join(root, source), target, { recursive: true });
  }
}

export interface Vit {
  /** pixels a side */
  patch: 16 | 32;
  runtime: 'engine' | 'onnx';
}

/**
 * A ViT-B of 224 pixels with random weights, made once for each version of the exporter. It takes about a minute.
 * @returns its id, or undefined where Python and its packages are missing: a line on stderr says so
 */
export async function vitBundle({ patch, runtime }: Vit): Promise<string | undefined> {
  const id = runtime === 'engine' ? `vit-b-${patch}` : `vit-b-${patch}-onnx`;
  const stamp = join(MODELS, id, 'exporter.sha256');
  const version = exporterVersion();
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === version) return id;
  const python = findPython();
  if (!python) {
    console.error(`ViT-B/${patch} is left out: there is no model-export/.venv (model-export/README.md, Install)`);
    return undefined;
  }
  const options = ['--patch', String(patch), '--runtime', runtime, '--out', join(MODELS, id)];
  try {
    await promisify(execFile)(python, ['-m', 'clip_export.random_vit', ...options], {
      env: { ...process.env, PYTHONPATH: join(EXPORTER, 'src') },
    });
  } catch (error) {
    console.error(`ViT-B/${patch} is left out: ${error instanceof Error ? error.message : error}`);
    return undefined;
  }
  await writeFile(stamp, version);
  return id;
}

function exporterVersion(): string {
  const folder = join(EXPORTER, 'src/clip_export');
  const files = readdirSync(folder).filter((name) => name.endsWith('.py'));
  const hash = createHash('sha256');
  for (const file of files.sort()) hash.update(readFileSync(join(folder, file)));
  return hash.digest('hex');
}

/** Of the user's own environment, or of the one that `npm run test:pipeline` makes. */
function findPython(): string | undefined {
  const bin = process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python';
  return ['.venv', '.test-venv'].map((folder) => join(EXPORTER, folder, bin)).find((path) => existsSync(path));
}
