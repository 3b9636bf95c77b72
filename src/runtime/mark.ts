import { channel } from 'node:diagnostics_channel';

const marks = channel('pinfold:mark');

/**
 * Says that a rare branch was taken. The simulator counts marks over many seeds and names those that it never reached; a
 * branch worth a mark is one that a test of everyday use does not come to. Costs one look at a flag while nobody listens.
 * The name is a constant text, as it is searched for in the sources.
 */
export function mark(name: string): void {
  if (marks.hasSubscribers) marks.publish(name);
}
