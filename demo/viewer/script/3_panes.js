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
    const ratio = window.devicePixelRatio || 1, { clientWidth, clientHeight } = this.canvas;
    const [width, height] = [clientWidth, clientHeight].map((one) => Math.max(1, Math.round(one * ratio)));
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    if (this.cells.width !== columns || this.cells.height !== rows) {
      Object.assign(this.cells, { width: columns, height: rows });
      this.image = this.cellContext.createImageData(columns, rows);
      this.pixels = new Uint32Array(this.image.data.buffer);
    }
    const scale = Math.min(width / (columns * columnMm), height / (rows * rowMm));
    const [across, down] = [columnMm * scale, rowMm * scale];
    const left = (width - columns * across) / 2, top = (height - rows * down) / 2;
    this.fitted = { across, down, left, top, columns, rows, ratio };
  }

  // Puts the cells on paper; letters and crosshair keep their contrast to it.
  paint(light) {
    [this.paper, this.ink, this.hair] = light ? ["#ffffff", "#111111", "#0369a1"] : ["#000000", "#ffffff", "#7dd3fc"];
    const { across, down, left, top, columns, rows } = this.fitted;
    this.cellContext.putImageData(this.image, 0, 0);
    this.context.fillStyle = this.paper;
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

  crosshair([column, row]) {
    const { across, down, left, top, ratio } = this.fitted, context = this.context;
    const [x, y, gap] = [left + (column + 0.5) * across, top + (row + 0.5) * down, 9 * ratio];
    const { width, height } = this.canvas;
    context.setLineDash([]);
    context.lineWidth = ratio;
    context.strokeStyle = this.hair;
    context.beginPath();
    for (const line of [[0, y, x - gap, y], [x + gap, y, width, y], [x, 0, x, y - gap], [x, y + gap, x, height]]) {
      context.moveTo(line[0], line[1]);
      context.lineTo(line[2], line[3]);
    }
    context.stroke();
  }

  // Draws the edges of lesions, with their numbers at their upper right corners.
  outlines(found, { lesions, selected }, named = true) {
    const { across, down, left, top, ratio } = this.fitted, context = this.context;
    for (const lesion of lesions) {
      const edge = lesion.hidden ? null : found.get(lesion.value), chosen = lesion.id === selected;
      if (!edge) continue;
      const placed = new Path2D();
      placed.addPath(edge.path, new DOMMatrix([across, 0, 0, down, left, top]));
      context.strokeStyle = lesion.colour;
      context.lineWidth = (chosen ? 3 : 1.5) * ratio;
      context.setLineDash(lesion.excluded ? [3 * ratio, 3 * ratio] : []);
      context.stroke(placed);
      const [x, y] = [left + edge.right * across + 3 * ratio, top + edge.top * down];
      if (named || chosen) this.text(lesion.number, x, y, lesion.colour, chosen, "left");
    }
  }

  text(words, x, y, colour, bold = true, align = "center") {
    const { ratio } = this.fitted, context = this.context;
    context.font = `${bold ? "bold " : ""}${Math.round(13 * ratio)}px system-ui, "DejaVu Sans", sans-serif`;
    Object.assign(context, { textAlign: align, textBaseline: "middle", strokeStyle: this.paper, fillStyle: colour });
    context.lineWidth = 3 * ratio;
    context.setLineDash([]);
    context.strokeText(words, x, y);
    context.fillText(words, x, y);
  }

  // Names the left, right, upper and lower end of the picture.
  letters(words) {
    const { width, height } = this.canvas, edge = 12 * this.fitted.ratio, middle = [width / 2, height / 2];
    const places = [[edge, middle[1]], [width - edge, middle[1]], [middle[0], edge], [middle[0], height - edge]];
    places.forEach(([x, y], at) => this.text(words[at], x, y, this.ink));
  }
}

// Returns the edge of each number in a picture of cells (0 is none), with its right and upper end.
function edgesOf(cells, columns) {
  const found = new Map();
  for (let at = 0; at < cells.length; at++) {
    const number = cells[at];
    if (!number) continue;
    const column = at % columns, row = (at - column) / columns;
    if (!found.has(number)) found.set(number, { path: new Path2D(), right: 0, top: row });
    const edge = found.get(number), path = edge.path;
    if (column + 1 > edge.right) [edge.right, edge.top] = [column + 1, row];
    const line = (x, y, right, down) => { path.moveTo(x, y); path.lineTo(x + right, y + down); };
    if (!column || cells[at - 1] !== number) line(column, row, 0, 1);
    if (column + 1 === columns || cells[at + 1] !== number) line(column + 1, row, 0, 1);
    if (cells[at - columns] !== number) line(column, row, 1, 0);
    if (cells[at + columns] !== number) line(column, row + 1, 1, 0);
  }
  return found;
}
