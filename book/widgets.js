// Brings the page's widgets to life. `widgets` holds their modules, by name.

const waiting = document.querySelectorAll(".sd-widget");

function values(text) {
  const state = JSON.parse(text);
  for (const [name, value] of Object.entries(state)) {
    if (value && typeof value === "object" && typeof value.base64 === "string") {
      const bytes = Uint8Array.from(atob(value.base64), (letter) => letter.charCodeAt(0));
      state[name] = new DataView(bytes.buffer);
    }
  }
  return state;
}

// What a notebook's kernel is to a widget; here nobody listens but the widget itself. It has no
// `send`: that is how a widget knows that no kernel will answer.
function model(state) {
  return {
    get: (name) => state[name],
    set: (name, value) => { state[name] = value; },
    on() {},
    off() {},
    save_changes() {},
  };
}

async function enliven(place) {
  const state = values(place.querySelector("script").textContent);
  const el = document.createElement("div");
  place.append(el);
  await widgets[place.dataset.widget].render({ model: model(state), el });
  place.querySelector(".sd-instead").remove(); // last: if anything fails, the figure stays
  place.dataset.alive = "yes";
}

// A question to answer first: its answers become buttons, and the choice unfolds what was measured.
function ask(question, number) {
  const list = question.querySelector("ul");
  if (!list) return;
  const answers = document.createElement("fieldset");
  const legend = document.createElement("legend");
  legend.textContent = "Your answer";
  answers.append(legend);
  for (const item of list.children) {
    const label = document.createElement("label");
    const button = document.createElement("input");
    Object.assign(button, { type: "radio", name: `sd-question-${number}` });
    label.append(button, item.textContent);
    answers.append(label);
    button.onchange = () => tell(question, item.textContent);
  }
  list.replaceWith(answers);
}

function tell(question, answer) {
  const after = Node.DOCUMENT_POSITION_FOLLOWING;
  const measured = [...document.querySelectorAll(".sd-guess")].find(
    (one) => question.compareDocumentPosition(one) & after,
  );
  if (!measured) return;
  measured.querySelector(".sd-said")?.remove();
  const truth = measured.querySelector("strong")?.textContent.replace(/^Measured: |\.$/g, "");
  const said = document.createElement("p");
  said.className = "sd-said";
  said.setAttribute("role", "status");
  said.textContent = truth === answer
    ? `You said “${answer}”, and so it is.`
    : `You said “${answer}”. It came out differently.`;
  measured.append(said);
  measured.open = true;
}

document.querySelectorAll(".sd-predict").forEach(ask);

for (const place of waiting) {
  enliven(place).catch((error) => {
    place.dataset.alive = "no";
    console.error("A widget of this page did not start.", error);
  });
}
