/** A step, as one number: what, and up to three small numbers with it. */
export type Action = number;

export const actionKinds = [
  'start',
  'write',
  'flush',
  'crash',
  'deliver',
  'sync',
  'cut',
  'begin',
  'ask',
  'answer',
  'store',
  'take',
  'swap',
  'discard',
  'backup',
  'restore',
  'lose',
  'acknowledge',
  'header',
] as const;
export type ActionKind = (typeof actionKinds)[number];

const numbers = Object.fromEntries(actionKinds.map((kind, i) => [kind, i])) as Record<ActionKind, number>;

export function action(kind: ActionKind, peer: number, b = 0, c = 0): Action {
  return numbers[kind] | (peer << 5) | (b << 8) | (c << 14);
}

export function actionParts(action: Action): { kind: ActionKind; peer: number; b: number; c: number } {
  const kind = actionKinds[action & 31] as ActionKind;
  return { kind, peer: (action >> 5) & 7, b: (action >> 8) & 63, c: action >> 14 };
}
