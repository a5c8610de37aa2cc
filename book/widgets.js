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
  el.className = "sd-live";
  place.append(el);
  await widgets[place.dataset.widget].render({ model: model(state), el });
  place.querySelector(".sd-instead").hidden = true; // last: if anything fails, the figure stays; on paper it shows
  place.dataset.alive = "yes";
}

// A question to answer first: its answers become buttons, and the choice unfolds what was measured.
// Among radio buttons the arrow keys choose: who walked to the third would have answered on the way.
function ask(question) {
  const list = question.querySelector("ul");
  if (!list) return;
  const answers = element("div", { className: "sd-answers", role: "group", "aria-label": "Your answer" });
  for (const { textContent } of list.children) {
    const button = element("button", { type: "button", textContent, "aria-pressed": "false" });
    button.onclick = () => {
      for (const one of answers.children) one.setAttribute("aria-pressed", String(one === button));
      tell(question, textContent);
    };
    answers.append(button);
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
  const said = element("p", { className: "sd-said", role: "status" });
  measured.append(said);
  measured.open = true;
  said.textContent = truth === answer
    ? `You said “${answer}”, and so it is.`
    : `You said “${answer}”. It came out differently.`;
}

document.querySelectorAll(".sd-predict").forEach(ask);

for (const place of waiting) {
  enliven(place).catch((error) => {
    place.dataset.alive = "no";
    console.error("A widget of this page did not start.", error);
  });
}
