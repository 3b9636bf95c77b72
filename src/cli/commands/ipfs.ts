import type { Command } from 'commander';
import pc from 'picocolors';
import {
  type CollectGarbageResponse,
  CollectGarbageResponseSchema,
  type CollectionSummary,
  type NodeCollection,
} from '../../../gen/pinfold/v1/peer_service_pb.ts';
import { ResolveResponseSchema } from '../../../gen/pinfold/v1/pin_service_pb.ts';
import { CliError, usageError } from '../cli-error.ts';
import type { CliContext } from '../context.ts';
import { countOf, formatBytes } from '../output.ts';
import { type Progress, progressOf } from '../progress.ts';
import type { Run } from '../run.ts';

const collectHelp = `
Removes from IPFS nodes every block that no pin holds. One node after the other, so that not all of the cluster is busy with it; what
fails at one does not stop the others, and the exit code is 1. Interrupted, the collection under way ends and no further one begins;
what is removed stays removed, and it can be run again. What is being added meanwhile is safe: the collection waits for it.
Kubo collects only while no pin is under way, and does not tell how large the blocks were.

Examples:
  pinfold ipfs gc                          the node of the peer that answers
  pinfold ipfs gc 12D3KooWA... 12D3KooWB...
  pinfold ipfs gc --all --parallel 3
  pinfold ipfs gc --verbose > removed.txt  the CIDs, one a line`;

const resolveHelp = `
Follows a path through directories, and through the maps, lists and links of dag-cbor and dag-json; fetches the blocks on the way that
the node lacks. Prints /ipfs/CID, with more behind it when the path leads to a value inside that block.

Examples:
  pinfold ipfs resolve /ipfs/bafybei.../docs/readme.md
  pinfold ipfs resolve ipfs://bafybei.../a%20name
  pinfold ipfs resolve /ipns/docs.example.org/guide      where the node resolves names, as Kubo does
  pinfold ipfs resolve bafyrei.../list/0/link`;

export function ipfsCommands(program: Command, run: Run): void {
  const ipfs = program.command('ipfs').description('what the IPFS nodes are asked to do');

  ipfs
    .command('resolve <path>')
    .description('say to which CID a path leads, by the IPFS node of the peer that answers; nothing is pinned')
    .option('--origin <multiaddr...>', 'who has the content, with /p2p/')
    .addHelpText('after', resolveHelp)
    .action(run((context, path: string, flags: { origin?: string[] }) => resolve(context, path, flags.origin ?? [])));

  ipfs
    .command('gc [peer...]')
    .description('remove what no pin holds from the nodes of these peers; without any: of the peer that answers')
    .option('--all', 'of every peer')
    .option('--parallel <n>', 'so many nodes at once, at most 16')
    .option('--verbose', 'print the CIDs of what is removed, and the rest on standard error')
    .addHelpText('after', collectHelp)
    .action(run((context, peerIds: string[], flags: CollectFlags) => collect(context, peerIds, flags)));
}

async function resolve(context: CliContext, path: string, origins: string[]): Promise<void> {
  const { out } = context;
  const resolved = await (await context.clients()).pins.resolve({ path, origins });
  if (out.json) out.message(ResolveResponseSchema, resolved);
  else out.line(resolved.path);
}

interface CollectFlags {
  all?: boolean;
  parallel?: string;
  verbose?: boolean;
}

async function collect(context: CliContext, peerIds: string[], flags: CollectFlags): Promise<void> {
  const { all = false, verbose = false } = flags;
  if (all && peerIds.length > 0) throw usageError('name peers, or --all: not both');
  const request = { peerIds, all, parallel: parallelFrom(flags.parallel), withCids: verbose };
  const view = new CollectView(context, verbose);
  try {
    for await (const response of (await context.clients()).peers.collectGarbage(request)) view.show(response);
  } finally {
    view.stop();
  }
  const { summary } = view;
  if (summary === undefined) throw new CliError('the peer ended its answer before the summary', 'INTERNAL');
  if (summary.failed > 0)
    throw new CliError(`${summary.failed} of ${summary.nodes + summary.failed} nodes did not collect`, 'SOME_FAILED');
}

function parallelFrom(text: string | undefined): number {
  if (text === undefined) return 0;
  const parallel = Number(text);
  if (!/^\d+$/.test(text) || parallel < 1 || parallel > 16)
    throw usageError(`--parallel takes a whole number from 1 to 16, not "${text}"`);
  return parallel;
}

class CollectView {
  summary: CollectionSummary | undefined;
  readonly #context: CliContext;
  readonly #verbose: boolean;
  readonly #progress: Progress;
  readonly #blocks = new Map<string, number>();

  constructor(context: CliContext, verbose: boolean) {
    this.#context = context;
    this.#verbose = verbose;
    this.#progress = progressOf(context.out, undefined, 'blocks removed');
  }

  show(response: CollectGarbageResponse): void {
    const { out } = this.#context;
    const { event } = response;
    if (out.json) out.message(CollectGarbageResponseSchema, response);
    if (event.case === 'node') this.#showNode(event.value);
    if (event.case === 'summary') this.#showSummary(event.value);
  }

  stop(): void {
    this.#progress.stop();
  }

  #showNode(node: NodeCollection): void {
    const { peerId, peerName, cids, ended, error } = node;
    const blocks = Number(node.blocks);
    this.#progress.advance(blocks - (this.#blocks.get(peerId) ?? 0));
    this.#blocks.set(peerId, blocks);
    for (const cid of cids) this.#progress.line(cid);
    if (!ended) return;
    const failure = error === undefined ? '' : `  ${pc.red(`${error.message} (${error.reason})`)}`;
    this.#say(`${peerId}  ${peerName}  ${removedText(node)}${failure}`);
  }

  #showSummary(summary: CollectionSummary): void {
    this.summary = summary;
    if (summary.nodes + summary.failed > 1) this.#say(`${countOf(summary.nodes, 'node')}  ${removedText(summary)}`);
  }

  #say(text: string): void {
    if (this.#verbose) this.#context.out.note(text);
    else this.#progress.line(text);
  }
}

/** Kubo tells no sizes. */
function removedText({ blocks, bytes }: { blocks: bigint; bytes: bigint }): string {
  const size = bytes === 0n ? '' : `, ${formatBytes(Number(bytes))}`;
  return `${countOf(Number(blocks), 'block')} removed${size}`;
}
