import { readFile } from 'node:fs/promises';
import { defineConfig } from 'vitest/config';
import './scripts/build-wasm.mjs'; // so that no test runs on kernels older than their source

// Miniflare would look up request.cf on the network, wrangler would send metrics: tests need neither.
process.env.CLOUDFLARE_CF_FETCH_ENABLED = 'false';
process.env.WRANGLER_SEND_METRICS = 'false';
process.env.WRANGLER_HIDE_BANNER = 'true';

export default defineConfig({
  plugins: [
    {
      // workerd compiles an imported .wasm into a WebAssembly.Module; so do the tests that run in Node.
      name: 'wasm-module',
      enforce: 'pre',
      async load(id) {
        if (!id.endsWith('.wasm')) return;
        const base64 = (await readFile(id)).toString('base64');
        return `export default new WebAssembly.Module(Buffer.from('${base64}', 'base64'));`;
      },
    },
  ],
  test: {
    include: ['test/**/*.test.ts'],
    // otherwise Node would import the .wasm of a package by itself
    server: { deps: { inline: [/\.wasm$/] } },
    testTimeout: 60_000,
    hookTimeout: 120_000,
    maxWorkers: 2,
  },
});
