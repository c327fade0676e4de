/** Who may import whom, where the linter's patterns cannot say it. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '..');

/** Folder → the folders that its files may import from. */
const ALLOWED: Record<string, string[]> = {
  'src/clip': ['src/clip'],
  'src/engine': ['src/engine', 'src/clip', 'build'],
  'src/runtime': ['src/runtime', 'src/clip', 'src/engine', 'build'],
  functions: ['functions', 'src/clip', 'src/runtime'],
};

const sources = Object.keys(ALLOWED).flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'))
    .map((file) => ({ folder, file: join(folder, file) })),
);

test.each(sources)('$file', ({ folder, file }) => {
  const text = readFileSync(join(root, file), 'utf8');
  const specifiers = Array.from(text.matchAll(/\bfrom '([^']+)'|\bimport\('([^']+)'\)/g), (m) => m[1] ?? m[2]);
  for (const specifier of specifiers) {
    if (!specifier.startsWith('.')) {
      expect(folder, `${file} imports ${specifier}`).not.toBe('src/clip');
      continue;
    }
    const target = relative(root, resolve(root, dirname(file), specifier));
    expect(
      ALLOWED[folder].some((allowed) => target.startsWith(`${allowed}/`)),
      `${file} imports ${target}`,
    ).toBe(true);
  }
});
