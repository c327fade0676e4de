/**
 * Label sets in KV: the file under `labels/<revision>/<name>/<version>`, never changed, and a small pointer to the
 * current version under `labels/<revision>/<name>`, written last and deleted first. So a reader sees a whole set or none.
 * KV shows a write elsewhere after up to 60 seconds; a pointer that old must still find its file, so a replaced file
 * stays for some minutes more.
 */
import { ClipError } from '../clip/errors.ts';
import { decodeLabelSet, type LabelSet, type MadeFor } from '../clip/label-set.ts';
import { createLru } from '../clip/lru.ts';
import type { ModelManifest } from '../clip/model-manifest.ts';
import { type OpenFile, readBundleFile } from './bundle.ts';
import { sha256 } from './sha256.ts';

export interface StoredLabelSet {
  set: LabelSet;
  /** sha256 of the file */
  version: string;
  builtIn: boolean;
}

export interface LabelSetEntry {
  name: string;
  version: string;
  builtIn: boolean;
  /** labels in it */
  count: number;
}

export interface LabelStore {
  /** Without a name the model's default set. @throws label_set_not_found, no_labels */
  get(manifest: ModelManifest, name?: string): Promise<StoredLabelSet>;
  list(manifest: ModelManifest): Promise<LabelSetEntry[]>;
  /** @throws label_set_read_only, model_mismatch, invalid_label_set */
  put(manifest: ModelManifest, name: string, file: Uint8Array<ArrayBuffer>): Promise<StoredLabelSet>;
  /** @throws label_set_not_found, label_set_read_only */
  delete(manifest: ModelManifest, name: string): Promise<void>;
}

/** What of KV is used. */
export type LabelKv = Pick<KVNamespace, 'get' | 'put' | 'delete' | 'list'>;

interface Pointer {
  version: string;
  count: number;
}

/** How long a replaced file is still there. KV shows a write elsewhere after up to 60 seconds, give or take. */
const REPLACED_FOR_SECONDS = 600;

/** Bytes of decoded sets that an isolate remembers. */
const CACHE_BYTES = 16 * 1024 * 1024;

export function createLabelStore(kv: LabelKv, openFile: OpenFile, cacheBytes = CACHE_BYTES): LabelStore {
  // by version, which is a hash of the file: what is remembered is never stale
  const cache = createLru(cacheBytes, bytesOf);

  const getBuiltIn = async (manifest: ModelManifest, name: string): Promise<StoredLabelSet | undefined> => {
    const entry = manifest.labelSets.find((set) => set.name === name);
    if (!entry) return undefined;
    const version = entry.file.sha256;
    const read = async () =>
      decodeLabelSet(await readBundleFile(openFile, manifest.id, [entry.file]), madeFor(manifest));
    return { set: cache.get(version) ?? cache.set(version, await read()), version, builtIn: true };
  };

  const getStored = async (manifest: ModelManifest, name: string): Promise<StoredLabelSet> => {
    const key = pointerKey(manifest, name);
    const pointer = await kv.get<Pointer>(key, 'json');
    if (!pointer) throw notFound(manifest, name);
    const { version } = pointer;
    const known = cache.get(version);
    if (known) return { set: { ...known, name }, version, builtIn: false };
    const file = await kv.get(`${key}/${version}`, 'arrayBuffer');
    if (!file) throw notFound(manifest, name);
    const set = cache.set(version, decodeLabelSet(new Uint8Array(file), madeFor(manifest)));
    return { set: { ...set, name }, version, builtIn: false };
  };

  return {
    async get(manifest, name = defaultSet(manifest)) {
      return (await getBuiltIn(manifest, name)) ?? getStored(manifest, name);
    },

    async list(manifest) {
      const entries: LabelSetEntry[] = [];
      for (const { name } of manifest.labelSets) {
        const { set, version } = (await getBuiltIn(manifest, name))!;
        entries.push({ name, version, builtIn: true, count: set.labels.length });
      }
      const stored = await listStored(kv, manifest);
      return [...entries, ...stored.filter(({ name }) => !isBuiltIn(manifest, name))];
    },

    async put(manifest, name, file) {
      refuseBuiltIn(manifest, name);
      const set = { ...decodeLabelSet(file, madeFor(manifest)), name };
      const version = await sha256(file);
      const key = pointerKey(manifest, name);
      const replaced = await kv.get<Pointer>(key, 'json');
      // written even if it seems to be there: what KV shows may be a minute old
      await write(kv, `${key}/${version}`, file);
      const pointer: Pointer = { version, count: set.labels.length };
      await write(kv, key, JSON.stringify(pointer), { metadata: pointer });
      if (replaced && replaced.version !== version) await expire(kv, `${key}/${replaced.version}`).catch(console.error);
      return { set, version, builtIn: false };
    },

    async delete(manifest, name) {
      const key = pointerKey(manifest, name);
      const pointer = await kv.get(key);
      // a stored set may have the name of one that a later bundle brings: it can go
      if (!pointer) refuseBuiltIn(manifest, name);
      if (!pointer) throw notFound(manifest, name);
      await kv.delete(key);
      // whatever lies under the name, that of an upload that broke off before its pointer too
      const { keys } = await kv.list({ prefix: `${key}/` });
      for (const file of keys) await kv.delete(file.name);
    },
  };
}

const pointerKey = ({ revision }: ModelManifest, name: string) => `labels/${revision}/${name}`;

const madeFor = ({ revision, embeddingDim }: ModelManifest): MadeFor => ({ revision, embeddingDim });

function defaultSet({ id, labelSets }: ModelManifest): string {
  if (labelSets.length === 0) {
    throw new ClipError('no_labels', `Model "${id}" has no label set of its own; send labels, or name a labelSet.`);
  }
  return labelSets[0].name;
}

const isBuiltIn = ({ labelSets }: ModelManifest, name: string) => labelSets.some((set) => set.name === name);

function refuseBuiltIn(manifest: ModelManifest, name: string): void {
  if (!isBuiltIn(manifest, name)) return;
  throw new ClipError('label_set_read_only', `"${name}" is a built-in set of "${manifest.id}"; choose another name.`);
}

const notFound = ({ id }: ModelManifest, name: string) =>
  new ClipError(
    'label_set_not_found',
    `There is no label set "${name}" for model "${id}"; GET /v1/label-sets?model=${id} lists them. A new one can take a minute to be seen everywhere.`,
  );

type PutOptions = Parameters<LabelKv['put']>[2];

/** KV takes one write a second for a key. @throws too_many_writes */
async function write(kv: LabelKv, key: string, value: string | ArrayBufferView, options?: PutOptions): Promise<void> {
  try {
    await kv.put(key, value, options);
  } catch (cause) {
    if (!/\b429\b|too many requests/i.test(String(cause))) throw cause;
    throw new ClipError('too_many_writes', 'The label set was written a moment ago; try again in a second.', { cause });
  }
}

/** Lets a file go in a while: KV has no way to say so but to write it again. */
async function expire(kv: LabelKv, key: string): Promise<void> {
  const file = await kv.get(key, 'arrayBuffer');
  if (file) await kv.put(key, file, { expirationTtl: REPLACED_FOR_SECONDS });
}

/** Characters of the labels at 2 bytes each are a guess that errs upwards. */
const bytesOf = ({ embeddings, labels, calibration }: LabelSet) =>
  embeddings.byteLength +
  (calibration?.background?.embeddings.byteLength ?? 0) +
  labels.reduce((sum, label) => sum + 32 + 2 * label.length, 0);

/** Pointers are the keys without a further slash; what a listing tells of them is in their metadata. */
async function listStored(kv: LabelKv, manifest: ModelManifest): Promise<LabelSetEntry[]> {
  const prefix = pointerKey(manifest, '');
  const entries: LabelSetEntry[] = [];
  let cursor: string | undefined;
  do {
    const page = await kv.list<{ version: string; count: number }>({ prefix, cursor });
    for (const { name: key, metadata } of page.keys) {
      const name = key.slice(prefix.length);
      if (!name.includes('/') && metadata) entries.push({ name, ...metadata, builtIn: false });
    }
    cursor = page.list_complete ? undefined : page.cursor;
  } while (cursor);
  return entries;
}
