// Another version of a model is served, in Models and in Teach.
import { h, say } from "./dom.js";

/** Serve what a training has made, or an earlier version. Rejects with the words of the gate. */
export async function promote(app, name, wanted) {
  const found = await app.call(() => app.api.request(
    `/v1/models/${encodeURIComponent(name)}/promote`,
    { method: "POST", body: JSON.stringify(wanted) }));
  await app.loadModels();
  return found;
}

/** A choice of the other versions of a model, and a button that serves the chosen one. */
export function versionChoice(app, { name, version, versions }) {
  const others = versions.filter((each) => each !== version);
  if (!others.length) return [h("span", { class: "lead", text: "there is no other version" })];
  const choice = h("select", { ariaLabel: `Version of ${name}` }, others.map((value) =>
    h("option", { value, text: `version ${value}`, selected: value === others.at(-1) })));
  const told = h("output", { class: "readout" });
  const button = h("button", { type: "button", text: "Serve it",
    ariaLabel: `Serve the chosen version of ${name}`, onclick: async () => {
      button.disabled = true;
      say(told, "The server checks it …");
      try {
        await promote(app, name, { version: choice.value });
        app.announce(`${name} is served in version ${choice.value}`);
      } catch (error) {
        say(told, `Not served: ${error.message}`);
        app.announce(told.textContent);
      }
      button.disabled = false;
    } });
  return [choice, button, told];
}
