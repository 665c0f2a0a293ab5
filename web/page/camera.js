/**
 * The camera: its picture in the page, and frames of it as square pictures. Nothing is recorded.
 *
 * Fires "change" when it starts or stops.
 */
import { $, write } from "./dom.js";

/** Side of a frame, pixels: more than networks here take, and little enough for hundreds of frames. */
const SIDE = 96;
/** What always works instead. */
const INSTEAD = "Choose picture files instead.";

/** @param {any} error of getUserMedia */
function reason(error) {
  switch (error?.name) {
    case "NotAllowedError":
    case "SecurityError":
      return `The camera is not allowed for this page. Allow it at the address bar or in the system’s settings, and try again. Or choose picture files.`;
    case "NotFoundError":
    case "OverconstrainedError":
      return `No camera was found. ${INSTEAD}`;
    case "NotReadableError":
    case "AbortError":
      return "The camera cannot be used now: another program may have it. Close that and try again, or choose picture files.";
    default:
      return `The camera could not be started (${error?.message || error}). ${INSTEAD}`;
  }
}

export class Camera extends EventTarget {
  constructor() {
    super();
    /** @type {HTMLVideoElement} */
    this.video = $("camera");
    /** @type {MediaStream | null} */
    this.stream = null;
    /** The start that is under way. @type {Promise<boolean> | null} */
    this.starting = null;
    /** Identifiers of the cameras, and the one in use. @type {string[]} */
    this.all = [];
    this.at = 0;
    $("camera-start").addEventListener("click", () => (this.on ? this.stop() : this.start()));
    $("camera-switch").addEventListener("click", () => {
      this.at = (this.at + 1) % this.all.length;
      this.stop();
      this.start();
    });
  }

  get on() {
    return this.stream !== null;
  }

  /** Starts the camera, or says why it cannot be. @returns {Promise<boolean>} whether it is on */
  start() {
    this.starting ??= this.#open().finally(() => (this.starting = null));
    return this.starting;
  }

  async #open() {
    if (this.on) return true;
    if (!navigator.mediaDevices?.getUserMedia) {
      this.say(isSecureContext ? `This browser gives pages no access to a camera. ${INSTEAD}` : `Browsers allow a camera only on https:// and on localhost; this page was loaded in another way. ${INSTEAD}`, true);
      return false;
    }
    $("camera-start").disabled = true;
    this.say("Waiting for the camera; the browser may ask for permission.");
    try {
      const id = this.all[this.at];
      const video = { width: { ideal: 640 }, height: { ideal: 480 }, ...(id ? { deviceId: { exact: id } } : {}) };
      const stream = await navigator.mediaDevices.getUserMedia({ video, audio: false });
      const [track] = stream.getVideoTracks();
      track.addEventListener("ended", () => this.stream === stream && this.stop(`The camera was disconnected. Connect it again, or choose picture files.`));
      this.video.srcObject = stream;
      await this.video.play();
      this.stream = stream;
      // A picture of oneself is expected as in a mirror; that of a camera at the back is not.
      this.video.classList.toggle("mirror", track.getSettings().facingMode !== "environment");
      await this.#list(track.getSettings().deviceId);
      this.say("");
    } catch (error) {
      this.say(reason(error), true);
    }
    $("camera-start").disabled = false;
    this.#changed();
    return this.on;
  }

  /** The cameras that there are; their identifiers are known once one is allowed. @param {string | undefined} used */
  async #list(used) {
    const devices = await navigator.mediaDevices.enumerateDevices().catch(() => []);
    this.all = devices.filter(({ kind, deviceId }) => kind === "videoinput" && deviceId).map(({ deviceId }) => deviceId);
    this.at = Math.max(0, this.all.indexOf(used ?? ""));
  }

  /** @param {string} [why] */
  stop(why = "") {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = this.video.srcObject = null;
    this.say(why, !!why);
    this.#changed();
  }

  #changed() {
    write($("camera-start"), this.on ? "Stop the camera" : "Start the camera");
    $("camera-switch").hidden = !this.on || this.all.length < 2;
    this.dispatchEvent(new Event("change"));
  }

  /** The square in the middle of the current frame; null while there is none. @returns {HTMLCanvasElement | null} */
  frame() {
    const { videoWidth: width, videoHeight: height } = this.video;
    if (!this.on || !width) return null;
    const side = Math.min(width, height);
    const canvas = Object.assign(document.createElement("canvas"), { width: SIDE, height: SIDE });
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { willReadFrequently: true }));
    context.imageSmoothingQuality = "high";
    context.drawImage(this.video, (width - side) / 2, (height - side) / 2, side, side, 0, 0, SIDE, SIDE);
    return canvas;
  }

  /** @param {string} text @param {boolean} [bad] */
  say(text, bad = false) {
    const out = $("camera-text");
    out.className = `verdict ${bad ? "bad" : ""}`;
    write(out, text);
  }
}
