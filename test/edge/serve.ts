/**
 * The real Worker in workerd for tests that are not in Node (model-export/tests): `node test/edge/serve.ts` prints its
 * URL, then answers each line of stdin, a key of LABEL_SETS, with its value in base64. It ends when stdin does.
 */
import { createInterface } from 'node:readline';
import { startServer } from './server.ts';

process.env.CLOUDFLARE_CF_FETCH_ENABLED = 'false';
process.env.WRANGLER_SEND_METRICS = 'false';
process.env.WRANGLER_HIDE_BANNER = 'true';

const server = await startServer();
const { LABEL_SETS } = await server.env();
console.log(server.url.href);
for await (const key of createInterface({ input: process.stdin })) {
  const value = await LABEL_SETS.get(key, 'arrayBuffer');
  console.log(Buffer.from(value ?? new ArrayBuffer(0)).toString('base64'));
}
await server.close();
process.exit(0);
