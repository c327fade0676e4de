/**
 * Lets other requests of the isolate have their turn, in the middle of long work. A timer, never another request's promise:
 * that would hang if the request is cancelled.
 */
export const nextTurn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));
