// Clothes of another photo: a person whose regions are taken, and how far.

import { Person } from "./person.js";
import { send } from "./server.js";

const $ = (id) => document.getElementById(id);

export class Clothes {
  // `page` has the model and the person; `changed` is called when another picture is wanted.
  constructor({ page, changed, say, said }) {
    Object.assign(this, { page, changed, say });
    this.other = null;
    this.shares = [];
    this.take = said((file) => this.takePhoto(file));
    $("drop-style").onclick = () => this.drop();
  }

  async takePhoto(file) {
    if (!file) return;
    this.say("Looking for the person of the other photo …");
    const { model } = this.page;
    this.other = new Person(await (await send("person", file)).json(), model.size, model.times);
    this.other.draw($("style-thumb").querySelector("canvas"), model.regions.map((region) => region.colour), 0, 0);
    this.shares = model.regions.map(() => 0);
    $("style-thumb").hidden = $("drop-style").hidden = false;
    this.show();
    this.say("Move a slider to take a region from the other photo.");
  }

  drop() {
    this.other = null;
    $("style-thumb").hidden = $("drop-style").hidden = true;
    this.show();
    this.changed();
  }

  // What a request says of it; null while nothing is taken.
  request() {
    if (!this.other || !this.shares.some((share) => share > 0)) return null;
    return { ...this.other.packed(), large: this.other.large, share: this.shares };
  }

  // A slider for every region that both people show. Of others nothing is taken: nobody could see or undo it.
  show() {
    const theirs = this.other && this.page.person ? this.other.shown() : [];
    const both = theirs.filter((region) => this.page.person.shown().includes(region));
    this.shares = this.shares.map((share, region) => (both.includes(region) ? share : 0));
    $("sliders").replaceChildren(...both.map((region) => this.slider(region)));
  }

  slider(region) {
    const label = document.createElement("label");
    const name = document.createElement("span");
    name.textContent = this.page.model.regions[region].name;
    const input = Object.assign(document.createElement("input"), { type: "range", min: 0, max: 100, step: 5 });
    input.value = 100 * this.shares[region];
    const output = document.createElement("output");
    output.textContent = `${input.value} %`;
    input.oninput = () => {
      this.shares[region] = input.value / 100;
      output.textContent = `${input.value} %`;
      this.changed();
    };
    label.append(name, input, output);
    return label;
  }
}
