/**
 * Something that takes long to load and is then shared by all requests of an isolate.
 *
 * In workerd a promise that belongs to a request stops when that request is cancelled, and whoever else awaits it hangs.
 * So the load is handed to `keepAlive` (`waitUntil`), which outlives a client that has gone, and nobody waits for
 * somebody else's load for longer than `patience`: the next caller then begins anew.
 */
import { ClipError } from '../clip/errors.ts';

export type KeepAlive = (work: Promise<unknown>) => void;

const PATIENCE_MS = 20_000;

/** @returns a function that loads at its first call, shares the result with all later ones, and forgets a failure */
export function loadOnce<T>(load: () => Promise<T>, keepAlive: KeepAlive, patienceMs = PATIENCE_MS): () => Promise<T> {
  let current: Promise<T> | undefined;
  let loaded: { value: T } | undefined;
  const forget = (loading: Promise<T>) => {
    if (current === loading) current = undefined;
  };
  return async () => {
    if (loaded) return loaded.value;
    if (!current) {
      const loading: Promise<T> = load().then(
        (value) => {
          loaded = { value };
          return value;
        },
        (error) => {
          forget(loading);
          throw error;
        },
      );
      current = loading;
      keepAlive(loading.catch(() => {})); // whoever awaits the load sees its failure
    }
    const awaited = current;
    return within(awaited, patienceMs, () => forget(awaited));
  };
}

async function within<T>(work: Promise<T>, ms: number, giveUp: () => void): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      giveUp();
      reject(new ClipError('model_unavailable', `The model was not loaded within ${ms / 1000} seconds; try again.`));
    }, ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
