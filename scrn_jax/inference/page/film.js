// The film: which poses, how many pictures, and the file that the server makes of them.

import { download } from "./person.js";
import { send } from "./server.js";

const $ = (id) => document.getElementById(id);
const OWN = "my poses";

export class Film {
  // `page` has the model and the target pose, `request` says who is painted, `show` shows what came.
  constructor({ page, request, show, say, said }) {
    Object.assign(this, { page, request, show, say });
    this.keys = [];
    this.blob = null;
    const { films, formats } = page.model;
    $("film-name").replaceChildren(...films.map((name) => new Option(name.replaceAll("-", " "), name)), new Option(OWN, OWN));
    $("film-format").replaceChildren(...formats.map((name) => new Option(name.toUpperCase(), name)));
    if (formats.includes("webp")) $("film-format").value = "webp";
    $("film-name").onchange = () => this.showKeys();
    $("add-key").onclick = () => { this.keys.push(structuredClone(page.target)); this.showKeys(); };
    $("clear-keys").onclick = () => { this.keys = []; this.showKeys(); };
    $("make-film").onclick = said(() => this.make());
    $("save-film").onclick = () => download(this.blob, this.name);
  }

  isOwn() {
    return $("film-name").value === OWN;
  }

  showKeys() {
    $("keys").hidden = !this.isOwn();
    $("add-key").disabled = !this.page.target;
    const count = this.keys.length;
    $("key-count").textContent = count < 2 ? `${count || "No"} pose${count === 1 ? "" : "s"} yet; two or more make a film.` : `${count} poses.`;
  }

  async make() {
    if (this.isOwn() && this.keys.length < 2) throw new Error("a film needs two poses or more; add them, or choose a sequence");
    const wanted = this.isOwn() ? { poses: this.keys, loop: false } : { film: $("film-name").value };
    const format = $("film-format").value;
    this.say("Painting the film …");
    $("result").classList.add("busy");
    $("make-film").disabled = true;
    try {
      const numbers = { frames: Number($("film-frames").value), fps: Number($("film-fps").value) };
      this.blob = await (await send("film", { ...this.request(), ...wanted, ...numbers, format })).blob();
    } finally {
      $("result").classList.remove("busy");
      $("make-film").disabled = false;
    }
    this.name = `${wanted.film || "film"}.${format}`;
    this.show(this.blob, format === "mp4");
    $("save-film").disabled = false;
    this.say(`The film is ready, ${Math.ceil(this.blob.size / 1024)} kB.`);
  }
}
