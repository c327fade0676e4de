/** What the engine refuses: a file that is not what its architecture needs, or numbers that are none. */
export class EngineError extends Error {
  override readonly name = 'EngineError';
}
