/** Runs modules of model-export, where its Python environment is. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { root } from './workerd.ts';

const EXPORTER = join(root, 'model-export');

/**
 * @param what is left out if it does not run: a line on stderr says so, and why
 * @returns whether it ran
 */
export async function runExporter(what: string, module: string, options: readonly string[]): Promise<boolean> {
  const python = findPython();
  if (!python) {
    console.error(`${what} is left out: there is no model-export/.venv (model-export/README.md, Install)`);
    return false;
  }
  try {
    const env = { ...process.env, PYTHONPATH: join(EXPORTER, 'src') };
    await promisify(execFile)(python, ['-m', `clip_export.${module}`, ...options], { env });
    return true;
  } catch (error) {
    console.error(`${what} is left out: ${error instanceof Error ? error.message : error}`);
    return false;
  }
}

/** Changes whenever the exporter does. */
export function exporterVersion(): string {
  const folder = join(EXPORTER, 'src/clip_export');
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.py'));
  const hash = createHash('sha256');
  for (const file of files.sort()) hash.update(readFileSync(join(folder, file)));
  return hash.digest('hex');
}

/** Of the user's own environment, or of the one that `npm run test:pipeline` makes. */
function findPython(): string | undefined {
  const bin = process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python';
  return ['.venv', '.test-venv'].map((folder) => join(EXPORTER, folder, bin)).find((path) => existsSync(path));
}
