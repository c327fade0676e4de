/** The models of the bench, in build/bench/models, where its Worker finds them. */
import { existsSync, readFileSync } from 'node:fs';
import { cp, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { exporterVersion, runExporter } from './exporter.ts';
import type { Pair } from './tasks/runtimes.ts';
import { root } from './workerd.ts';

const MODELS = join(root, 'build/bench/models');

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
  const options = ['--patch', String(patch), '--runtime', runtime, '--out', join(MODELS, id)];
  if (!(await runExporter(`ViT-B/${patch}`, 'random_vit', options))) return undefined;
  await writeFile(stamp, version);
  return id;
}
