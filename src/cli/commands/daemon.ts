import type { Command } from 'commander';
import type { RunningPeer } from '../../daemon/peer.ts';
import type { CliContext } from '../context.ts';
import { givenFlags, optionFlags } from '../option-flags.ts';
import type { Run } from '../run.ts';
import { version } from '../version.ts';

export function daemonCommand(program: Command, run: Run): void {
  const command = program
    .command('daemon')
    .description('run the peer of this folder until SIGTERM or Ctrl-C')
    .addHelpText(
      'after',
      '\nExamples:\n  pinfold daemon\n  pinfold daemon --bootstrap /ip4/10.0.0.1/tcp/9096/p2p/12D3KooW...',
    );
  optionFlags(command, ['bootstrap', 'log-level', 'insecure-no-secret', 'insecure-no-auth']).action(
    run((context, flags: Record<string, unknown>) => daemon(context, flags)),
  );
}

async function daemon({ folder }: CliContext, flags: Record<string, unknown>): Promise<void> {
  const stopped = signalled();
  // Loaded here, so that the other commands need not wait for what only a peer is made of.
  const { startPeer } = await import('../../daemon/peer.ts');
  for (let isOver = false; !isOver; ) {
    const peer = await startPeer({ folder, flags: givenFlags(flags), variables: process.env, version });
    isOver = await ended(peer, stopped);
  }
}

/** Runs it to its end. True: for good; false: it is to be started again. */
async function ended(peer: RunningPeer, stopped: Promise<void>): Promise<boolean> {
  let isOver: boolean;
  try {
    isOver = await Promise.race([stopped.then(() => true), peer.failed, peer.restart.then(() => false)]);
  } catch (failure) {
    // What has failed cannot stop cleanly; the failure is what there is to say.
    await peer.stop().catch(() => {});
    throw failure;
  }
  await peer.stop();
  return isOver;
}

/** Resolves at the first signal to stop; a second one ends the process at once. */
function signalled(): Promise<void> {
  return new Promise((resolve) => {
    let count = 0;
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        if (++count > 1) process.exit(1);
        resolve();
      });
    }
  });
}
