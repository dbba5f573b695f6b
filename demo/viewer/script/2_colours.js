// Tables from stored numbers to packed pixels (alpha, blue, green, red); rebuilt only when a window changes.
const SUV_TOPS = [5, 10, 15, 20, 40];
const CT_WINDOWS = { soft: [40, 400], lung: [-600, 1500], bone: [400, 1800] };
const LOWEST_HU = -1024;
const OPAQUE = 0xff000000;

const grey = (share) => { const at = Math.round(255 * share); return (OPAQUE | (at << 16) | (at << 8) | at) >>> 0; };
const hot = (share) => [3 * share, 3 * share - 1, 3 * share - 2].map((part) => Math.min(Math.max(part, 0), 1));

class Colours {
  inverted = new Uint32Array(65536);
  over = new Uint32Array(65536);
  ct = new Uint32Array(4096);

  // Values from 0 to top, in stored steps: white to black, and for fusion black-red-yellow-white over the CT.
  setPet(top, opacity) {
    const last = Math.max(1, Math.min(65535, Math.round(top)));
    for (let stored = 0; stored <= last; stored++) {
      const share = stored / last;
      this.inverted[stored] = grey(1 - share);
      const weight = opacity * Math.min(1, 2 * share);
      const [red, green, blue] = hot(share).map((part) => Math.round(255 * part * weight));
      this.over[stored] = ((Math.round(255 * (1 - weight)) << 24) | (blue << 16) | (green << 8) | red) >>> 0;
    }
    this.inverted.fill(this.inverted[last], last);
    this.over.fill(this.over[last], last);
  }

  setCt([level, width]) {
    for (let at = 0; at < 4096; at++) {
      this.ct[at] = grey(Math.min(Math.max((at + LOWEST_HU - level) / width + 0.5, 0), 1));
    }
  }

  // The upper byte of `over` is what remains of the CT.
  fused(pet, hounsfield) {
    const over = this.over[pet], rest = ((this.ct[hounsfield - LOWEST_HU] & 255) * (over >>> 24)) >> 8;
    return (OPAQUE | ((over & 0xffffff) + rest * 0x010101)) >>> 0;
  }
}
