/**
 * What components log to. A message is a constant; what varies goes into `data`.
 * Levels by audience: error and warn for the operator who must act, info for the operator who reads along,
 * debug and trace for us. Never secrets; never raw text from the network above debug.
 */
export interface Logger {
  error(message: string, data?: Record<string, unknown>): void;
  warn(message: string, data?: Record<string, unknown>): void;
  info(message: string, data?: Record<string, unknown>): void;
  debug(message: string, data?: Record<string, unknown>): void;
  trace(message: string, data?: Record<string, unknown>): void;
  /** A logger whose lines carry `component`. */
  child(component: string): Logger;
}

const nothing = () => {};

/** Logs nothing. */
export const silentLogger: Logger = {
  error: nothing,
  warn: nothing,
  info: nothing,
  debug: nothing,
  trace: nothing,
  child: () => silentLogger,
};
