import pc from 'picocolors';
import { ErrorClass, type PeerPinStatus, type PinStatus, TrackerStatus } from '../../gen/pinfold/v1/pin_pb.ts';
import { statusNumbers, statusOfNumber } from '../model/status.ts';
import { usageError } from './cli-error.ts';

export function statusName(status: TrackerStatus): string {
  return statusOfNumber(status) ?? 'undefined';
}

export function statusFromName(name: string): TrackerStatus {
  const number = statusNumbers[name as keyof typeof statusNumbers];
  if (number !== undefined) return number as TrackerStatus;
  throw usageError(`"${name}" is no status; there are ${Object.keys(statusNumbers).join(', ')}`);
}

const colours: Partial<Record<TrackerStatus, (text: string) => string>> = {
  [TrackerStatus.PINNED]: pc.green,
  [TrackerStatus.PIN_ERROR]: pc.red,
  [TrackerStatus.UNPIN_ERROR]: pc.red,
  [TrackerStatus.CLUSTER_ERROR]: pc.red,
  [TrackerStatus.UNEXPECTEDLY_UNPINNED]: pc.red,
  [TrackerStatus.PINNING]: pc.yellow,
  [TrackerStatus.PIN_QUEUED]: pc.yellow,
  [TrackerStatus.REMOTE]: pc.dim,
};

export function statusText(status: TrackerStatus): string {
  return (colours[status] ?? String)(statusName(status));
}

/** One line a peer below the pin. */
export function pinStatusLines(status: PinStatus): string[] {
  const head = `${pc.bold(status.cid)}  ${status.name}`.trimEnd();
  return [head, ...status.peers.map((peer) => `  ${peerStatusLine(peer)}`)];
}

export function peerStatusLine(peer: PeerPinStatus): string {
  const who = (peer.peerName === '' ? peer.peerId : peer.peerName).padEnd(20);
  const why = peer.errorClass === ErrorClass.UNSPECIFIED && peer.error === '' ? '' : `  ${peer.error}`;
  const attempts = peer.attempts > 1 ? pc.dim(`  attempt ${peer.attempts}`) : '';
  return `${who} ${statusText(peer.status)}${why}${attempts}`;
}
