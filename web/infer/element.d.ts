import type { Answer, HalfwaveError, Network, load } from "./index.js";

/**
 * `<halfwave-network src="…">`: shows a packed network at work. Importing the module defines the element.
 *
 * Attributes: `src`, the address of a packed file or a share link (`#network=…` suffices); `label`, an accessible name.
 * Custom properties: `--halfwave-accent`, `-ink`, `-muted`, `-line`, `-surface`, `-sunken`, `-bad`, `-font`.
 */
export class HalfwaveNetwork extends HTMLElement {
  /** The loaded network. One that is set is freed when another one is shown. */
  network: Network | undefined;
  /** Whether the network is drawn for; if not, it takes pictures. */
  readonly draws: boolean;
  /** Loads another network; problems are shown, and are the event "error". */
  open(source: Parameters<typeof load>[0]): Promise<void>;
}

export interface HalfwaveNetworkEvents {
  load: Event;
  answer: CustomEvent<Answer>;
  error: CustomEvent<HalfwaveError>;
}

declare global {
  interface HTMLElementTagNameMap {
    "halfwave-network": HalfwaveNetwork;
  }
}
