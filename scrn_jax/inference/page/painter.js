// Painting a person's regions with a brush, by pointer or by keys.

const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
const MOST_STEPS_BACK = 30;

export class Painter {
  // `changed` is called while painting, `done` at the end of a stroke.
  constructor(canvas, { changed, done, say }) {
    Object.assign(this, { canvas, changed, done, say });
    this.person = null;
    this.region = 2;
    this.brush = 4;
    this.enabled = false;
    this.last = null;
    this.cursor = null;
    this.before = [];
    canvas.addEventListener("pointerdown", (event) => this.press(event));
    canvas.addEventListener("pointermove", (event) => this.last && this.strokeTo(this.place(event)));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => this.release());
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  // The brush in pixels of the frame; its setting is in 128ths of the frame's height.
  get radius() {
    return Math.max(1, Math.round((this.brush * this.person.height) / 128));
  }

  setPerson(person) {
    this.person = person;
    this.before = [];
    this.cursor = null;
  }

  setEnabled(enabled) {
    this.enabled = enabled;
    if (enabled) {
      this.canvas.tabIndex = 0;
      this.canvas.setAttribute("role", "application");
      this.canvas.setAttribute("aria-label", "Regions of the photo: arrow keys move the brush, Space paints");
      this.canvas.removeAttribute("aria-hidden");
    } else {
      this.canvas.removeAttribute("tabindex");
      this.canvas.removeAttribute("role");
      this.canvas.removeAttribute("aria-label");
      this.canvas.setAttribute("aria-hidden", "true");
      this.cursor = null;
    }
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [
      Math.floor(((event.clientY - box.top) / box.height) * this.person.height),
      Math.floor(((event.clientX - box.left) / box.width) * this.person.width),
    ];
  }

  remember() {
    this.before.push(this.person.regions.slice());
    if (this.before.length > MOST_STEPS_BACK) this.before.shift();
  }

  press(event) {
    if (!this.enabled || !this.person || event.button > 0) return;
    event.preventDefault();
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    this.cursor = null;
    this.remember();
    this.last = this.place(event);
    this.strokeTo(this.last);
  }

  release() {
    if (!this.last) return;
    this.last = null;
    this.done();
  }

  strokeTo([y, x]) {
    const [fromY, fromX] = this.last || [y, x];
    const steps = Math.max(1, Math.ceil(Math.hypot(y - fromY, x - fromX)));
    for (let step = 0; step <= steps; step += 1) {
      this.dab(Math.round(fromY + ((y - fromY) * step) / steps), Math.round(fromX + ((x - fromX) * step) / steps));
    }
    if (this.last) this.last = [y, x];
    this.changed();
  }

  dab(y, x) {
    const { height, width, regions } = this.person;
    const reach = this.radius - 0.5;
    for (let row = Math.max(0, y - this.radius); row <= Math.min(height - 1, y + this.radius); row += 1) {
      for (let column = Math.max(0, x - this.radius); column <= Math.min(width - 1, x + this.radius); column += 1) {
        if (Math.hypot(row - y, column - x) <= reach) regions[row * width + column] = this.region;
      }
    }
  }

  undo() {
    const regions = this.before.pop();
    if (!regions) return;
    this.person.regions = regions;
    this.changed();
    this.done();
  }

  key(event) {
    if (!this.enabled || !this.person) return;
    const { height, width } = this.person;
    this.cursor ||= [Math.floor(height / 2), Math.floor(width / 2)];
    if (STEPS[event.key]) {
      event.preventDefault();
      const far = Math.max(1, Math.round(((event.shiftKey ? 5 : 1) * height) / 128));
      const [dy, dx] = STEPS[event.key];
      const [y, x] = this.cursor;
      this.cursor = [Math.min(height - 1, Math.max(0, y + dy * far)), Math.min(width - 1, Math.max(0, x + dx * far))];
      this.say(`brush at column ${this.cursor[1]}, row ${this.cursor[0]}`);
      this.changed();
    } else if (event.key === " ") {
      event.preventDefault();
      this.remember();
      this.dab(...this.cursor);
      this.changed();
      this.done();
    }
  }

  // The brush where the keys have led it, on top of the picture.
  drawCursor() {
    if (!this.cursor || !this.enabled) return;
    const pen = this.canvas.getContext("2d");
    const { times } = this.person;
    pen.lineWidth = times;
    for (const [colour, radius] of [["#000", this.radius + 1], ["#fff", this.radius]]) {
      pen.strokeStyle = colour;
      pen.beginPath();
      pen.arc(times * (this.cursor[1] + 0.5), times * (this.cursor[0] + 0.5), times * radius, 0, 7);
      pen.stroke();
    }
  }
}

// The regions to choose from, as radio buttons of one group.
export class Swatches {
  constructor(group, regions, painter) {
    this.painter = painter;
    this.buttons = regions.map((region, index) => this.button(region, index, regions.length));
    group.replaceChildren(...this.buttons);
    this.choose(painter.region);
  }

  button({ name, colour }, region, count) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "swatch";
    button.setAttribute("role", "radio");
    const dot = document.createElement("i");
    dot.style.background = `rgb(${colour})`;
    button.append(dot, name);
    button.onclick = () => this.choose(region);
    button.onkeydown = (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      this.choose((region + step + count) % count);
      this.buttons[this.painter.region].focus();
    };
    return button;
  }

  choose(region) {
    this.painter.region = region;
    this.buttons.forEach((button, index) => {
      button.setAttribute("aria-checked", String(index === region));
      button.tabIndex = index === region ? 0 : -1;
    });
  }
}
