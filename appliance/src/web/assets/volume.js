// A series in three planes and as a body, drawn by NiiVue. The page works without this: it says what
// is needed, and leads to the slices.
"use strict";
(() => {
  const view = document.getElementById("volume");
  if (!view) return;
  const find = (id) => document.getElementById(id);
  const { series, explanation } = view.dataset;
  const canvas = find("scene");
  const mark = find("mark");
  const box = find("overlay");
  const said = find("said");

  const tell = (text) => {
    said.textContent = text;
  };

  // Asked of another canvas: NiiVue makes the context of its own.
  const hasWebGl = () => Boolean(document.createElement("canvas").getContext("webgl2"));

  const reason = (text) => {
    const page = new DOMParser().parseFromString(text, "text/html");
    const paragraph = page.querySelector("main p");
    return paragraph ? paragraph.textContent : view.dataset.failed;
  };

  const fetched = async (url) => {
    let answer;
    try {
      answer = await fetch(url, { credentials: "same-origin" });
    } catch {
      throw { said: view.dataset.noAnswer };
    }
    if (!answer.ok) throw { said: reason(await answer.text()) };
    return answer.arrayBuffer();
  };

  const start = async () => {
    const { Niivue, NVImage } = window.niivue;
    const viewer = new Niivue({
      // As the slices hang: the patient's right is on the left, and so is the front of sagittal ones.
      isRadiologicalConvention: true,
      sagittalNoseLeft: true,
      multiplanarForceRender: true,
      backColor: [0, 0, 0, 1],
      fontColor: [1, 1, 1, 1],
      crosshairColor: [0.56, 0.83, 0.87, 1],
      show3Dcrosshair: true,
      // Only what comes from this box is shown, and never two series in one picture.
      dragAndDropEnabled: false,
      logLevel: "error",
    });
    const asked = [fetched(series)];
    if (explanation) asked.push(fetched(explanation));
    const [ground, places] = await Promise.all(asked);
    view.hidden = false;
    await viewer.attachToCanvas(canvas, false);
    const options = { url: ground, name: "series.nii.gz", colormap: "gray" };
    viewer.addVolume(await NVImage.loadFromUrl(options));
    if (places) {
      // Invisible until the notice stands beside it.
      const over = { url: places, name: "explanation.nii.gz", colormap: "warm", opacity: 0 };
      viewer.addVolume(await NVImage.loadFromUrl(over));
    }
    const show = () => {
      const on = Boolean(places) && box.checked;
      mark.hidden = !on;
      if (places) viewer.setOpacity(1, on ? 0.6 : 0);
    };
    if (places) {
      box.addEventListener("change", show);
      show();
    }
    find("needs").hidden = true;
    tell("");
    view.dataset.ready = "yes";
  };

  if (!window.niivue || !hasWebGl()) {
    tell(view.dataset.noWebgl);
    return;
  }
  tell(view.dataset.loading);
  start().catch((error) => {
    view.hidden = true;
    tell(error.said || view.dataset.failed);
  });
})();
