import { createHash } from 'node:crypto';
import type { GossipSub, GossipsubOpts, Message } from '@libp2p/gossipsub';
import { gossipsub, StrictNoSign, TopicValidatorResult } from '@libp2p/gossipsub';
import type { PeerId } from '@libp2p/interface';
import type { Logger } from '../../runtime/logger.ts';
import {
  GOSSIP_FRAME_BYTES_MAX,
  GOSSIP_HEARTBEAT_MS,
  GOSSIP_MESSAGE_BYTES_MAX,
  GOSSIP_QUEUE_BYTES_MAX,
  GOSSIP_SEEN_MS,
  GOSSIP_TOPIC_PREFIX,
} from '../constants.ts';
import type { NetworkMetrics } from '../metrics.ts';
import type { Gossip, GossipSubscriber, Topic } from '../network.ts';

interface Libp2pGossipNeeds {
  logger: Logger;
  metrics: NetworkMetrics;
}

const topics: readonly Topic[] = ['batches', 'records'];

const verdicts = {
  accept: TopicValidatorResult.Accept,
  ignore: TopicValidatorResult.Ignore,
  reject: TopicValidatorResult.Reject,
} as const;

/** Gossip over gossipsub. Messages carry their own signatures, so gossipsub adds none. */
export class Libp2pGossip implements Gossip {
  readonly #needs: Libp2pGossipNeeds;
  readonly #subscribers = new Map<string, GossipSubscriber>();
  #gossipsub: GossipSub | undefined;

  constructor(needs: Libp2pGossipNeeds) {
    this.#needs = needs;
  }

  publish(topic: Topic, message: Uint8Array): void {
    if (message.length > GOSSIP_MESSAGE_BYTES_MAX) {
      throw new RangeError(`a gossip message of ${message.length} bytes, at most ${GOSSIP_MESSAGE_BYTES_MAX}`);
    }
    const { logger, metrics } = this.#needs;
    const count = (outcome: string) => metrics.gossipMessages.add(1, { topic, outcome });
    if (this.#gossipsub === undefined) {
      count('failed');
      return;
    }
    this.#gossipsub.publish(topicName(topic), message).then(
      () => count('published'),
      (error: unknown) => {
        count('failed');
        logger.debug('a message could not be gossiped', { topic, error });
      },
    );
  }

  subscribe(topic: Topic, subscriber: GossipSubscriber): void {
    const name = topicName(topic);
    if (this.#gossipsub !== undefined) throw new Error('topics are subscribed to before the network starts');
    if (this.#subscribers.has(name)) throw new Error(`the topic ${topic} has a subscriber`);
    this.#subscribers.set(name, subscriber);
  }

  /** The service to make the libp2p node with. */
  service(): ReturnType<typeof gossipsub> {
    return gossipsub({ ...gossipsubOptions, msgIdFn: (message) => this.#id(message) });
  }

  start(service: GossipSub): void {
    this.#gossipsub = service;
    for (const topic of topics) {
      const subscriber = this.#subscribers.get(topicName(topic));
      if (subscriber === undefined) continue;
      service.topicValidators.set(topicName(topic), (from, message) =>
        this.#validate(topic, subscriber, from, message),
      );
      service.subscribe(topicName(topic));
    }
  }

  stop(): void {
    this.#gossipsub = undefined;
  }

  /** Topics apart, so that equal messages on two of them are not taken for one. */
  #id({ topic, data }: Message): Uint8Array {
    const hash = createHash('sha256').update(topic);
    try {
      hash.update(this.#subscribers.get(topic)?.id(data) ?? data);
    } catch {
      // Not a message of ours: whoever sent it will hear so from the validator.
      hash.update(data);
    }
    return hash.digest();
  }

  /** Runs once a message, before it is forwarded; the subscriber takes the message in the same step. */
  #validate(topic: Topic, subscriber: GossipSubscriber, from: PeerId, message: Message): TopicValidatorResult {
    const verdict =
      message.data.length > GOSSIP_MESSAGE_BYTES_MAX ? 'reject' : subscriber.receive(message.data, from.toString());
    this.#needs.metrics.gossipMessages.add(1, { topic, outcome: verdict });
    return verdicts[verdict];
  }
}

function topicName(topic: Topic): string {
  return GOSSIP_TOPIC_PREFIX + topic;
}

const gossipsubOptions: Partial<GossipsubOpts> = {
  globalSignaturePolicy: StrictNoSign,
  emitSelf: false,
  // To everybody connected: a write is seen one hop later, which in small clusters is everywhere.
  floodPublish: true,
  fallbackToFloodsub: false,
  doPX: false,
  allowPublishToZeroTopicPeers: true,
  ignoreDuplicatePublishError: true,
  allowedTopics: topics.map(topicName),
  D: 8,
  Dlo: 4,
  Dhi: 12,
  Dscore: 4,
  Dout: 2,
  Dlazy: 6,
  heartbeatInterval: GOSSIP_HEARTBEAT_MS,
  seenTTL: GOSSIP_SEEN_MS,
  maxInboundDataLength: GOSSIP_FRAME_BYTES_MAX,
  maxOutboundBufferSize: GOSSIP_QUEUE_BYTES_MAX,
  maxTopicBytesPerPeer: 64 * 1024,
  maxInboundStreams: 4,
  maxOutboundStreams: 4,
  decodeRpcLimits: {
    maxSubscriptions: 64,
    maxMessages: 1_000,
    maxIhaveMessageIDs: 5_000,
    maxIwantMessageIDs: 1_000,
    maxIdontwantMessageIDs: 1_000,
    maxControlMessages: 1_000,
    maxPeerInfos: 16,
  },
  scoreParams: {
    // Clusters on one machine, or behind one address, are the rule here and no sign of an attack.
    IPColocationFactorWeight: 0,
    // A cluster may be silent for hours: no peer is worse for having nothing to say. Invalid messages do count.
    topics: Object.fromEntries(
      topics.map((topic) => [
        topicName(topic),
        {
          topicWeight: 1,
          timeInMeshWeight: 0,
          timeInMeshQuantum: 1_000,
          timeInMeshCap: 0,
          firstMessageDeliveriesWeight: 0,
          firstMessageDeliveriesDecay: 0.5,
          firstMessageDeliveriesCap: 100,
          meshMessageDeliveriesWeight: 0,
          meshMessageDeliveriesDecay: 0.5,
          meshMessageDeliveriesCap: 100,
          meshMessageDeliveriesThreshold: 1,
          meshMessageDeliveriesWindow: 10,
          meshMessageDeliveriesActivation: 5_000,
          meshFailurePenaltyWeight: 0,
          meshFailurePenaltyDecay: 0.5,
          invalidMessageDeliveriesWeight: -1,
          invalidMessageDeliveriesDecay: 0.9,
        },
      ]),
    ),
  },
};
