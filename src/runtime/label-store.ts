/**
 * Label sets in KV: the file under `labels/<revision>/<name>/<version>`, never changed, and a small pointer to the
 * current version under `labels/<revision>/<name>`, written last and deleted first. So a reader sees a whole set or none.
 * KV shows a write elsewhere after up to 60 seconds; a pointer that old must still find its file, so the version
 * before the current one is kept.
 */
import { ClipError } from '../clip/errors.ts';
import { decodeLabelSet, type LabelSet, type MadeFor } from '../clip/label-set.ts';
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
  /** labels in it; null for a built-in set, whose file is not read for a listing */
  count: number | null;
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
  previous: string | null;
  count: number;
}

/** Bytes of decoded sets that an isolate remembers. */
const CACHE_BYTES = 16 * 1024 * 1024;

export function createLabelStore(kv: LabelKv, openFile: OpenFile, cacheBytes = CACHE_BYTES): LabelStore {
  const cache = createSetCache(cacheBytes);

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
      const builtIn = manifest.labelSets.map(({ name, file }) => ({
        name,
        version: file.sha256,
        builtIn: true,
        count: null,
      }));
      return [...builtIn, ...(await listStored(kv, manifest))];
    },

    async put(manifest, name, file) {
      refuseBuiltIn(manifest, name);
      const set = { ...decodeLabelSet(file, madeFor(manifest)), name };
      const version = await sha256(file);
      const key = pointerKey(manifest, name);
      const current = await kv.get<Pointer>(key, 'json');
      if (current?.version === version) return { set, version, builtIn: false };
      await kv.put(`${key}/${version}`, file);
      const pointer: Pointer = { version, previous: current?.version ?? null, count: set.labels.length };
      await kv.put(key, JSON.stringify(pointer), { metadata: { version, count: pointer.count } });
      if (current?.previous && current.previous !== version) await kv.delete(`${key}/${current.previous}`);
      return { set, version, builtIn: false };
    },

    async delete(manifest, name) {
      refuseBuiltIn(manifest, name);
      const key = pointerKey(manifest, name);
      const pointer = await kv.get<Pointer>(key, 'json');
      if (!pointer) throw notFound(manifest, name);
      await kv.delete(key);
      await kv.delete(`${key}/${pointer.version}`);
      if (pointer.previous) await kv.delete(`${key}/${pointer.previous}`);
    },
  };
}

const pointerKey = ({ revision }: ModelManifest, name: string) => `labels/${revision}/${name}`;

const madeFor = ({ id, revision, embeddingDim }: ModelManifest): MadeFor => ({ model: id, revision, embeddingDim });

function defaultSet({ id, labelSets }: ModelManifest): string {
  if (labelSets.length === 0) {
    throw new ClipError('no_labels', `Model "${id}" has no label set of its own; send labels, or name a labelSet.`);
  }
  return labelSets[0].name;
}

function refuseBuiltIn({ id, labelSets }: ModelManifest, name: string): void {
  if (!labelSets.some((set) => set.name === name)) return;
  throw new ClipError('label_set_read_only', `"${name}" is a built-in set of model "${id}"; choose another name.`);
}

const notFound = ({ id }: ModelManifest, name: string) =>
  new ClipError(
    'label_set_not_found',
    `There is no label set "${name}" for model "${id}"; GET /v1/label-sets lists them. A new one can take a minute to be seen everywhere.`,
  );

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

/** Sets by version, which is a hash of the file: what is cached is never stale. The ones unused for longest go first. */
function createSetCache(capacity: number) {
  const sets = new Map<string, LabelSet>();
  // characters of the labels at 2 bytes each are a guess that errs upwards
  const bytesOf = ({ embeddings, labels }: LabelSet) =>
    embeddings.byteLength + labels.reduce((sum, label) => sum + 32 + 2 * label.length, 0);
  let bytes = 0;
  return {
    get(version: string): LabelSet | undefined {
      const set = sets.get(version);
      if (!set) return undefined;
      sets.delete(version);
      sets.set(version, set);
      return set;
    },
    set(version: string, set: LabelSet): LabelSet {
      if (sets.has(version)) return set;
      sets.set(version, set);
      bytes += bytesOf(set);
      for (const [oldest, old] of sets) {
        if (bytes <= capacity) break;
        sets.delete(oldest);
        bytes -= bytesOf(old);
      }
      return set;
    },
  };
}
