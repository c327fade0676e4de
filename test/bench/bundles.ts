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
  runtime: Runtime;
}

type Runtime = 'engine' | 'onnx';

const idOf = (name: string, runtime: Runtime) => (runtime === 'engine' ? name : `${name}-onnx`);

/**
 * A bundle of random weights, made once for each version of the exporter. It takes about a minute.
 * @param module of the exporter, which takes `--runtime` and `--out` besides `options`
 * @returns its id, or undefined where Python and its packages are missing: a line on stderr says so
 */
async function randomBundle(
  what: string,
  { id, module, options }: { id: string; module: string; options: string[] },
): Promise<string | undefined> {
  const stamp = join(MODELS, id, 'exporter.sha256');
  const version = exporterVersion();
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === version) return id;
  if (!(await runExporter(what, module, [...options, '--out', join(MODELS, id)]))) return undefined;
  await writeFile(stamp, version);
  return id;
}

/** A ViT-B of 224 pixels. */
export const vitBundle = ({ patch, runtime }: Vit): Promise<string | undefined> =>
  randomBundle(`ViT-B/${patch}`, {
    id: idOf(`vit-b-${patch}`, runtime),
    module: 'random_vit',
    options: ['--patch', String(patch), '--runtime', runtime],
  });

/** CLIP's RN50 of 224 pixels. */
export const resNetBundle = (runtime: Runtime): Promise<string | undefined> =>
  randomBundle('RN50', { id: idOf('rn50', runtime), module: 'random_resnet', options: ['--runtime', runtime] });
