// The viewer: one state, what Python and the page tell it, and what it tells them; the next frame draws it.
const START = { point: [0, 0, 0], angle: 0, mode: "fused", lesions: [], selected: null };
const LARGEST_SHARES = [0.02, 0.05, 0.1, 0.25, 1];
const EXCLUDED = "#767676";
const AXES = [["R", "L"], ["A", "P"], ["S", "I"]];

class Viewer {
  constructor(root) {
    Object.assign(this, { root, turn: 0, value: null });
    const looks = { colours: new Colours(), outlines: true, top: 15, ct: CT_WINDOWS.soft, opacity: 0.7 };
    this.state = { ...START, ...looks, volumes: null };
    const pane = (name) => root.querySelector(`[data-pane=${name}]`);
    this.panes = { mip: new Mip(pane("mip")) };
    for (const name of Object.keys(PLANES)) this.panes[name] = Object.assign(new Plane(pane(name)), PLANES[name]);
    new ResizeObserver(() => this.redraw()).observe(root);
    document.addEventListener("fp:value", ({ detail }) => this.show(detail));
    document.addEventListener("fp:lesion", ({ detail }) => detail.from === "viewer" || this.jump(detail.id));
    listenToReader(this);
  }

  // Takes what Python says; only what changed is fetched, and an answer that comes too late is dropped.
  async show(value) {
    const { state, value: before } = this, turn = ++this.turn, other = before?.place !== value?.place;
    this.value = value;
    if (!value) return this.close("");
    try {
      if (other) await this.open(value, turn);
      else if (before.revision !== value.revision) {
        const lesions = await fetchPart(value.place, "lesions", value.revision);
        if (turn === this.turn) state.volumes.setLesions(lesions);
      }
    } catch (error) {
      if (turn === this.turn) this.close(`The images could not be loaded: ${error.message}`);
    }
    if (turn !== this.turn || !state.volumes) return;
    const hidden = state.lesions.filter((one) => one.hidden).map((one) => one.id);
    const looks = (one) => ({ hidden: hidden.includes(one.id), colour: one.excluded ? EXCLUDED : one.colour });
    this.panes.mip.shadows.clear();
    this.set({ lesions: value.lesions.map((one) => ({ ...one, ...looks(one) })) });
    if (value.selected && (other || value.selected !== before.selected)) this.jump(value.selected);
  }

  // The projection and the PET come first; the CT joins them when it is there.
  async open({ place, revision }, turn) {
    this.close("", "loading");
    const meta = await fetchPart(place, "meta"), volumes = new Volumes(meta);
    const later = meta.ct ? fetchPart(place, "ct") : null;
    const parts = ["pet", "rotation", "lesions"].map((name) => fetchPart(place, name, revision));
    const [pet, rotation, lesions] = await Promise.all(parts);
    Object.assign(volumes, { pet, rotation }).setLesions(lesions);
    if (turn !== this.turn) return;
    const point = volumes.ranges.map(([low, high]) => (low + high) >> 1);
    this.offer(meta);
    this.set({ ...START, volumes, point });
    Promise.resolve(later).then((ct) => {
      volumes.ct = ct;
      if (turn === this.turn) this.set({ ready: "ready" });
    }, (error) => this.say(`The CT could not be loaded: ${error.message}`));
  }

  close(words, ready = "empty") {
    this.state.volumes = null;
    this.root.dataset.state = this.state.ready = ready;
    this.say(words);
  }

  say(words) { this.find("say").textContent = words; }
  find(name) { return this.root.querySelector(`[data-show=${name}]`); }

  // Offers the windows that the unit allows: without an SUV none is named so.
  offer({ unit, step, ct, notes }) {
    const tops = unit === "SUV" ? SUV_TOPS : LARGEST_SHARES.map((share) => Math.round(65535 * step * share));
    this.state.top = tops[2];
    const options = tops.map((top) => new Option(`${unit} 0–${top}`, top, top === tops[2], top === tops[2]));
    this.root.querySelector("[data-choose=top]").replaceChildren(...options);
    this.find("notes").textContent = notes.join("; ");
    for (const one of this.root.querySelectorAll("[data-needs=ct]")) one.disabled = !ct;
  }

  // Turning redraws the projection alone.
  set(changes) {
    Object.assign(this.state, changes);
    this.redraw(Object.keys(changes).join() !== "angle");
  }

  redraw(whole = true) {
    this.whole = this.whole || whole;
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      const panes = this.whole ? Object.values(this.panes) : [this.panes.mip];
      this.waiting = this.whole = false;
      if (this.state.volumes && this.root.clientWidth) this.draw(this.state, panes);
    });
  }

  draw(state, panes) {
    const { top, opacity, ct, volumes } = state, windows = [top, opacity, ct].join();
    if (windows !== this.windows) {
      state.colours.setPet(top / volumes.meta.step, opacity);
      state.colours.setCt(ct);
      this.windows = windows;
    }
    for (const pane of panes) pane.draw(state);
    this.tell(state);
  }

  // Says in words and attributes what is seen, for eyes, screen readers and tests.
  tell({ volumes, point, angle, mode, ct, outlines, selected, top, ready }) {
    const { unit, shape } = volumes.meta, at = volumes.mm(point), uptake = volumes.uptake(point);
    const value = unit === "SUV" ? `SUV ${uptake.toFixed(2)}` : `no SUV, ${Math.round(uptake)} Bq/ml`;
    const density = volumes.ct ? `, ${volumes.ct[volumes.at(point)]} HU` : "";
    const place = AXES.map((ends, axis) => `${ends[at[axis] < 0 ? 1 : 0]} ${Math.abs(at[axis]).toFixed(0)}`);
    this.find("readout").textContent = `${value}${density} · ${place.join(", ")} mm`;
    for (const { canvas, along } of Object.values(this.panes)) {
      const [now, most] = along === undefined ? [angle * 10, 350] : [point[along] + 1, shape[along]];
      const words = along === undefined ? `${now} degrees` : `slice ${now} of ${most}, ${value}`;
      Object.assign(canvas, { ariaValueNow: now, ariaValueMax: most, ariaValueText: words });
    }
    const shown = [`mode:${volumes.ct ? mode : "pet"}`, outlines && "outlines", this.cine && "cine"];
    shown.push(...Object.keys(CT_WINDOWS).filter((name) => CT_WINDOWS[name] === ct).map((name) => `ct:${name}`));
    for (const one of this.root.querySelectorAll("[aria-pressed]")) {
      one.setAttribute("aria-pressed", shown.includes(one.dataset.do));
    }
    const data = { voxel: volumes.toStudy(point).join(), angle: angle * 10, lesion: selected || "", top, state: ready };
    Object.assign(this.root.dataset, data);
  }

  // A point that the reader chose; a lesion under it is chosen with it, and the table hears of it.
  place(point, settled) {
    if (!point) return;
    const { volumes, outlines, lesions } = this.state, number = outlines ? volumes.lesionAt(point) : 0;
    const lesion = settled && number ? lesions.find((one) => one.value === number && !one.hidden) : null;
    this.set({ point, ...(lesion ? { selected: lesion.id } : {}) });
    if (lesion) this.send("lesion", { id: lesion.id });
    if (settled) this.send("point", this.here());
  }
  here() {
    const { volumes, point } = this.state, suv = volumes.meta.unit === "SUV" ? volumes.uptake(point) : null;
    return { voxel: volumes.toStudy(point), mm: volumes.mm(point), suv };
  }
  send(name, detail) {
    document.dispatchEvent(new CustomEvent(`fp:${name}`, { detail: { ...detail, from: "viewer" } }));
  }

  jump(id) {
    const { lesions, volumes } = this.state, lesion = lesions.find((one) => one.id === id);
    if (!lesion || !volumes) return;
    this.set({ selected: id, ...(lesion.peak ? { point: volumes.fromStudy(lesion.peak) } : {}) });
    this.say(`${id}${lesion.excluded ? ", excluded" : ""} (${lesions.indexOf(lesion) + 1} of ${lesions.length})`);
  }
}
