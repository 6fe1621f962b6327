// A person in the model's frame: picture, regions and joints; the same frame in more pixels; and what is drawn of them.

import { bytesOf, textOf } from "./server.js";

export class Person {
  constructor(answer, [height, width], times) {
    this.height = height;
    this.width = width;
    this.times = times;
    this.image = bytesOf(answer.image);
    this.large = answer.large; // as requests carry it
    this.photo = bytesOf(answer.large);
    this.regions = bytesOf(answer.regions);
    this.joints = answer.joints;
    this.notes = answer.notes;
  }

  // As requests carry it.
  packed() {
    return { image: textOf(this.image), regions: textOf(this.regions), joints: this.joints };
  }

  shown() {
    return [...new Set(this.regions)].filter((region) => region > 0).sort();
  }

  // Whether a pixel's neighbour to the right or below belongs to another region: the border that is drawn.
  isBorder(at) {
    const right = (at + 1) % this.width ? this.regions[at + 1] : this.regions[at];
    const below = at + this.width < this.regions.length ? this.regions[at + this.width] : this.regions[at];
    return right !== this.regions[at] || below !== this.regions[at];
  }

  // The large frame on a canvas; its regions filled as strongly as `fill` says, 0 to 1, their borders as `border` does.
  draw(canvas, colours, fill, border) {
    const { times, photo } = this;
    canvas.width = this.width * times;
    canvas.height = this.height * times;
    const pixels = new ImageData(canvas.width, canvas.height);
    for (let row = 0; row < canvas.height; row += 1) {
      for (let column = 0; column < canvas.width; column += 1) {
        const at = Math.floor(row / times) * this.width + Math.floor(column / times);
        const to = row * canvas.width + column;
        const region = this.regions[at];
        let share = region ? fill : 0;
        if (region && border > fill && this.isBorder(at)) share = border;
        for (let c = 0; c < 3; c += 1) pixels.data[4 * to + c] = (1 - share) * photo[3 * to + c] + share * colours[region][c];
        pixels.data[4 * to + 3] = 255;
      }
    }
    canvas.getContext("2d").putImageData(pixels, 0, 0);
  }
}

export function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// OpenPose's JSON: x, y, confidence of 18 joints.
export function openPose(joints) {
  const flat = joints.flatMap(([y, x]) => (y > -1 && x > -1 ? [x, y, 1] : [0, 0, 0]));
  return JSON.stringify({ version: 1.3, people: [{ pose_keypoints_2d: flat }] });
}
