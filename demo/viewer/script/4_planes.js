// Axial, coronal and sagittal slices. `across` and `up` are the axes of the picture; the sagittal one looks from the left.
const PLANES = {
  axial: { across: 0, up: 1, along: 2, mirrored: false, ends: { left: "R", right: "L", top: "A", bottom: "P" } },
  coronal: { across: 0, up: 2, along: 1, mirrored: false, ends: { left: "R", right: "L", top: "S", bottom: "I" } },
  sagittal: { across: 1, up: 2, along: 0, mirrored: true, ends: { left: "A", right: "P", top: "S", bottom: "I" } },
};

class Plane extends Pane {
  constructor(canvas, name) {
    super(canvas);
    Object.assign(this, PLANES[name], { name });
  }

  // Between cells of the picture and voxels along its two axes; both ways are the same.
  cellOf([across, up], [c, r]) {
    return [this.mirrored ? across[1] - 1 - c : c - across[0], up[1] - 1 - r];
  }
  voxelOf([across, up], [column, row]) {
    return [this.mirrored ? across[1] - 1 - column : column + across[0], up[1] - 1 - row];
  }
  rangesOf(volumes) { return [volumes.ranges[this.across], volumes.ranges[this.up]]; }

  pointAt(event, { volumes, point }) {
    const cell = this.cellAt(event);
    if (!cell) return null;
    const [c, r] = this.voxelOf(this.rangesOf(volumes), cell), found = [...point];
    [found[this.across], found[this.up]] = [c, r];
    return found;
  }

  draw(state) {
    const { volumes, point, mode, colours } = state, ranges = this.rangesOf(volumes), [across, up] = ranges;
    const spacing = volumes.meta.spacing_mm, strides = [1, volumes.nx, volumes.plane];
    const [columns, rows] = [across[1] - across[0], up[1] - up[0]];
    this.fit(columns, rows, spacing[this.across], spacing[this.up]);
    const step = this.mirrored ? -strides[this.across] : strides[this.across];
    const first = point[this.along] * strides[this.along] + this.voxelOf(ranges, [0, 0])[0] * strides[this.across];
    const { pet, ct } = volumes, shown = ct ? mode : "pet", pixels = this.pixels;
    for (let row = 0, cell = 0; row < rows; row++) {
      let at = first + (up[1] - 1 - row) * strides[this.up];
      for (let column = 0; column < columns; column++, cell++, at += step) {
        pixels[cell] = shown === "pet" ? colours.inverted[pet[at]]
          : shown === "ct" ? colours.ct[ct[at] - LOWEST_HU] : colours.fused(pet[at], ct[at]);
      }
    }
    const light = shown === "pet";
    this.halo = light ? "#ffffff" : "#000000";
    this.paint(light ? "#ffffff" : "#000000");
    if (state.outlines) this.drawLesions(state, ranges);
    this.crosshair(this.cellOf(ranges, [point[this.across], point[this.up]]), light ? "#0369a1" : "#7dd3fc");
    this.letters(this.ends, light ? "#111111" : "#ffffff");
  }

  drawLesions({ volumes, point, lesions, selected }, ranges) {
    const found = [...point];
    for (const lesion of lesions) {
      const box = lesion.hidden ? null : volumes.boxes.get(lesion.value);
      if (!box || point[this.along] < box[this.along][0] || point[this.along] > box[this.along][1]) continue;
      const inside = (column, row) => {
        [found[this.across], found[this.up]] = this.voxelOf(ranges, [column, row]);
        return volumes.lesionAt(found) === lesion.value;
      };
      const [a, b] = [0, 1].map((end) => this.cellOf(ranges, [box[this.across][end], box[this.up][end]]));
      const sorted = [0, 1].map((side) => [Math.min(a[side], b[side]), Math.max(a[side], b[side])]);
      const edge = edges(inside, ...sorted);
      if (edge) this.outline(edge, lesion, lesion.id === selected, true);
    }
  }
}
