// Axial, coronal and sagittal slices: the axes across, up and through the picture, and the letters at its four ends.
const PLANES = {
  axial: { across: 0, up: 1, along: 2, mirrored: false, ends: ["R", "L", "A", "P"] },
  coronal: { across: 0, up: 2, along: 1, mirrored: false, ends: ["R", "L", "S", "I"] },
  sagittal: { across: 1, up: 2, along: 0, mirrored: true, ends: ["A", "P", "S", "I"] },
};

class Plane extends Pane {
  // From a cell to voxels along the two axes of the picture, and back: mirroring undoes itself.
  turned({ ranges }, [column, row]) {
    const [low, high] = ranges[this.across], above = ranges[this.up][1] - 1;
    return [this.mirrored ? high - 1 - column : column + low, above - row];
  }
  cellOf({ ranges }, point) {
    const [low, high] = ranges[this.across], at = point[this.across];
    return [this.mirrored ? high - 1 - at : at - low, ranges[this.up][1] - 1 - point[this.up]];
  }

  pointAt(event, { volumes, point }) {
    const cell = this.cellAt(event), found = [...point];
    if (cell) [found[this.across], found[this.up]] = this.turned(volumes, cell);
    return cell && found;
  }

  draw(state) {
    const { volumes, point, colours } = state, { ranges, pet, ct, lesions } = volumes;
    const strides = [1, volumes.nx, volumes.plane], spacing = volumes.meta.spacing_mm;
    const [columns, rows] = [this.across, this.up].map((axis) => ranges[axis][1] - ranges[axis][0]);
    this.fit(columns, rows, spacing[this.across], spacing[this.up]);
    const [across, up] = this.turned(volumes, [0, 0]), step = strides[this.across] * (this.mirrored ? -1 : 1);
    const first = point[this.along] * strides[this.along] + across * strides[this.across];
    const shown = ct ? state.mode : "pet", pixels = this.pixels, cells = new Uint16Array(columns * rows);
    for (let row = 0, cell = 0; row < rows; row++) {
      for (let column = 0, at = first + (up - row) * strides[this.up]; column < columns; column++, cell++, at += step) {
        cells[cell] = lesions[at];
        if (shown === "pet") pixels[cell] = colours.inverted[pet[at]];
        else pixels[cell] = shown === "ct" ? colours.ct[ct[at] - LOWEST_HU] : colours.fused(pet[at], ct[at]);
      }
    }
    this.paint(shown === "pet");
    if (state.outlines) this.outlines(edgesOf(cells, columns), state);
    this.crosshair(this.cellOf(volumes, point));
    this.letters(this.ends);
  }
}
