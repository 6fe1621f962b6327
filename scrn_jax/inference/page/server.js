// What the page asks of its server; every answer that is no success becomes an Error with the server's line.

async function answer(response) {
  if (response.ok) return response;
  let reason = `the server answered ${response.status}`;
  try {
    reason = (await response.json()).error || reason;
  } catch { /* no JSON: the status has to do */ }
  throw new Error(reason);
}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(`api/${path}`, options);
  } catch {
    throw new Error("the server does not answer; start it again and reload the page");
  }
  return answer(response);
}

export const get = async (path) => (await ask(path)).json();
export const send = (path, body) => ask(path, { method: "POST", body: body instanceof Blob ? body : JSON.stringify(body) });

// Bytes as text and back: a person travels as base64.
export function bytesOf(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

export function textOf(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(text);
}

// Runs `work` one at a time; of calls that come meanwhile only the last one is made up for.
export function latestOnly(work) {
  let running = false;
  let again = false;
  return async function run() {
    if (running) {
      again = true;
      return;
    }
    running = true;
    try {
      do {
        again = false;
        await work();
      } while (again);
    } finally {
      running = false;
    }
  };
}
