import { countOf, type Output } from './output.ts';

/** Members that will not see what was written, or are not known to: told to people, once. JSON has it with each answer. */
export function noteUnseen(out: Output, peerIds: Iterable<string>): void {
  const unseen = [...peerIds];
  if (unseen.length === 0) return;
  const who = `${countOf(unseen.length, 'peer')} will not see this, or may not: ${unseen.join(', ')}`;
  out.note(`warning: ${who}\n"pinfold peers trust" shows who trusts whom`);
}
