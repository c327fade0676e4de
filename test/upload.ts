/** What `wrangler deploy` would upload, by its dry run. Two seconds. */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const root = join(import.meta.dirname, '..');
const wrangler = join(root, 'node_modules/wrangler/bin/wrangler.js');

export interface UploadedFile {
  name: string;
  bytes: number;
}

/** @returns the Worker's modules; source maps and a note of wrangler's are not uploaded */
export async function dryRun(config = 'wrangler.toml'): Promise<UploadedFile[]> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeclip-upload-'));
  try {
    const deploy = [wrangler, 'deploy', '--dry-run', '--config', config, '--outdir', folder];
    const env = { ...process.env, WRANGLER_SEND_METRICS: 'false' };
    await promisify(execFile)(process.execPath, deploy, { cwd: root, env });
    const names = (await readdir(folder)).filter((name) => /\.(js|wasm)$/.test(name));
    return await Promise.all(names.map(async (name) => ({ name, bytes: (await stat(join(folder, name))).size })));
  } finally {
    await rm(folder, { recursive: true });
  }
}

export const bytesOf = (files: readonly UploadedFile[]): number => files.reduce((sum, { bytes }) => sum + bytes, 0);
