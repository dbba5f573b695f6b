// A pane shows a picture of cells (columns to the right, rows down) in true proportions inside its canvas.
class Pane {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.cells = document.createElement("canvas");
    this.cellContext = this.cells.getContext("2d", { willReadFrequently: true });
    this.fitted = null;
  }

  // Fits `columns` x `rows` cells of the given edges (mm) into the canvas, letterboxed.
  fit(columns, rows, columnMm, rowMm) {
    const ratio = window.devicePixelRatio || 1;
    const width = Math.max(1, Math.round(this.canvas.clientWidth * ratio));
    const height = Math.max(1, Math.round(this.canvas.clientHeight * ratio));
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    if (this.cells.width !== columns || this.cells.height !== rows) {
      Object.assign(this.cells, { width: columns, height: rows });
      this.image = this.cellContext.createImageData(columns, rows);
      this.pixels = new Uint32Array(this.image.data.buffer);
    }
    const scale = Math.min(width / (columns * columnMm), height / (rows * rowMm));
    const [across, down] = [columnMm * scale, rowMm * scale];
    this.fitted = { across, down, left: (width - columns * across) / 2, top: (height - rows * down) / 2, columns, rows, ratio };
  }

  paint(background) {
    const { across, down, left, top, columns, rows } = this.fitted;
    this.cellContext.putImageData(this.image, 0, 0);
    this.context.fillStyle = background;
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    this.context.drawImage(this.cells, left, top, columns * across, rows * down);
  }

  // Returns the cell under a pointer, null beside the picture.
  cellAt(event) {
    if (!this.fitted) return null;
    const { across, down, left, top, columns, rows, ratio } = this.fitted;
    const frame = this.canvas.getBoundingClientRect();
    const column = Math.floor(((event.clientX - frame.left) * ratio - left) / across);
    const row = Math.floor(((event.clientY - frame.top) * ratio - top) / down);
    return column >= 0 && column < columns && row >= 0 && row < rows ? [column, row] : null;
  }

  crosshair([column, row], colour) {
    const { across, down, left, top, ratio } = this.fitted, context = this.context;
    const [x, y, gap] = [left + (column + 0.5) * across, top + (row + 0.5) * down, 9 * ratio];
    const { width, height } = this.canvas;
    context.setLineDash([]);
    context.lineWidth = ratio;
    context.strokeStyle = colour;
    context.beginPath();
    for (const line of [[0, y, x - gap, y], [x + gap, y, width, y], [x, 0, x, y - gap], [x, y + gap, x, height]]) {
      context.moveTo(line[0], line[1]);
      context.lineTo(line[2], line[3]);
    }
    context.stroke();
  }

  // Draws edges made of cells, and the lesion's number at their upper right corner.
  outline({ path, corner }, lesion, selected, named) {
    const { across, down, left, top, ratio } = this.fitted, context = this.context, placed = new Path2D();
    placed.addPath(path, new DOMMatrix([across, 0, 0, down, left, top]));
    context.strokeStyle = lesion.colour;
    context.lineWidth = (selected ? 3 : 1.5) * ratio;
    context.setLineDash(lesion.excluded ? [3 * ratio, 3 * ratio] : []);
    context.stroke(placed);
    if (named) this.text(String(lesion.number), left + corner[0] * across + 3 * ratio, top + corner[1] * down, lesion.colour, selected);
  }

  text(words, x, y, colour, bold = false, align = "left") {
    const { ratio } = this.fitted, context = this.context;
    context.font = `${bold ? "bold " : ""}${Math.round(13 * ratio)}px system-ui, "DejaVu Sans", sans-serif`;
    Object.assign(context, { textAlign: align, textBaseline: "middle", lineWidth: 3 * ratio, strokeStyle: this.halo, fillStyle: colour });
    context.setLineDash([]);
    context.strokeText(words, x, y);
    context.fillText(words, x, y);
  }

  letters({ left, right, top, bottom }, colour) {
    const { width, height } = this.canvas, edge = 12 * this.fitted.ratio;
    if (left) this.text(left, edge, height / 2, colour, true, "center");
    if (right) this.text(right, width - edge, height / 2, colour, true, "center");
    if (top) this.text(top, width / 2, edge, colour, true, "center");
    if (bottom) this.text(bottom, width / 2, height - edge, colour, true, "center");
  }
}

// Returns the edge of the cells for which `inside(column, row)` holds, within a box [first, last] of both.
function edges(inside, [c0, c1], [r0, r1]) {
  const path = new Path2D();
  let corner = null;
  for (let row = r0; row <= r1; row++) {
    for (let column = c0; column <= c1; column++) {
      if (!inside(column, row)) continue;
      if (!corner || column + 1 > corner[0]) corner = [column + 1, row];
      if (!inside(column - 1, row)) { path.moveTo(column, row); path.lineTo(column, row + 1); }
      if (!inside(column + 1, row)) { path.moveTo(column + 1, row); path.lineTo(column + 1, row + 1); }
      if (!inside(column, row - 1)) { path.moveTo(column, row); path.lineTo(column + 1, row); }
      if (!inside(column, row + 1)) { path.moveTo(column, row + 1); path.lineTo(column + 1, row + 1); }
    }
  }
  return corner && { path, corner };
}
