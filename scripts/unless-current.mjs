/** Builds only what is not up to date, told by content: times of files say little after a checkout or an install. */
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';

/**
 * @param {string} stamp a file that remembers what was built from what
 * @param {{ inputs: string[], outputs: string[] }} files
 * @param {() => Promise<unknown>} build writes all of `outputs`
 * @returns {Promise<boolean>} whether it was run: not if neither inputs nor outputs have changed since
 */
export async function unlessCurrent(stamp, { inputs, outputs }, build) {
  const digest = () => digestOf([...inputs, ...outputs]);
  const before = await readOr(stamp, '');
  if (before && String(before) === (await digest())) return false;
  await build();
  await writeFile(stamp, await digest());
  return true;
}

async function digestOf(files) {
  const hash = createHash('sha256');
  for (const file of files) {
    const content = await readOr(file, undefined);
    hash.update(JSON.stringify([file, content?.length]));
    if (content) hash.update(content);
  }
  return hash.digest('hex');
}

async function readOr(file, missing) {
  try {
    return await readFile(file);
  } catch (error) {
    if (error.code === 'ENOENT') return missing;
    throw error;
  }
}
