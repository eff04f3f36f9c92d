// Answer the memory planner's form in words, as a table and in its figure, from the numbers in the page.
(() => {
  "use strict";
  const BLOCK_BP = 8192;
  const POINTS_PER_DOUBLING = 8;
  const DRAWN_DOUBLINGS = [14, 23]; // range of the figure's axis, as powers of two

  const bp = (length) => `${length.toLocaleString("en")}\u00a0bp`;
  const gb = (value) => `${value.toPrecision(3)}\u00a0GB`;
  const percent = (value) => `${(100 * value).toPrecision(2)}\u00a0%`;
  const isWithin = (length, [from, to]) => from <= length && length <= to;

  function peakGb(pieces, length) {
    const [, constant, linear, quadratic] = pieces.findLast(([from]) => from <= length) ?? pieces[0];
    return constant + linear * length + quadratic * length * length;
  }

  const piecesOf = (fit, asked) => fit.peak_gb[asked.num_transformer_layers - 1];

  // Find a step that did not run, at this length or a shorter one and with at most as many layers.
  const failureOf = (fit, asked, length) =>
    fit.failed.find(([layers, failed]) => layers <= asked.num_transformer_layers && failed <= length);

  // Return the longest input in the answer's range whose peak is within the budget, or 0.
  function longestBp(fit, asked) {
    const [from, to] = fit.answers_bp;
    for (let length = BLOCK_BP * Math.floor(to / BLOCK_BP); length >= from; length -= BLOCK_BP) {
      if (!failureOf(fit, asked, length) && peakGb(piecesOf(fit, asked), length) <= asked.budget_gb) return length;
    }
    return 0;
  }

  // Return peak, verdict and longest input of one attention: the cells of its row.
  function answer(device, fit, asked) {
    const { sequence_length_bp: length, budget_gb: budget } = asked;
    if (!piecesOf(fit, asked)) {
      const layers = fit.peak_gb.flatMap((pieces, i) => (pieces ? [i + 1] : []));
      return { verdict: "cannot be said", peak: `${device.how} for ${layers[0]} to ${layers.at(-1)} layers`, longest: "" };
    }
    const longest = longestBp(fit, asked);
    const [from, to] = fit.answers_bp;
    const isLongest = longest + BLOCK_BP > to;
    const reach = longest ? (isLongest ? `${bp(longest)} or more` : bp(longest)) : `less than ${bp(from)}`;
    const failure = failureOf(fit, asked, length);
    if (failure) return { verdict: "cannot be said", peak: `${bp(failure[1])} did not run`, longest: reach };
    if (!isWithin(length, fit.answers_bp)) {
      const known = device.how === "compiled" ? `compiled from ${bp(from)} to ${bp(to)}` : `measured up to ${bp(fit.longest_bp)}`;
      return { verdict: "cannot be said", peak: known, longest: reach };
    }
    const point = fit.known.find(([layers, at]) => layers === asked.num_transformer_layers && at === length);
    const peak = point ? point[2] : peakGb(piecesOf(fit, asked), length);
    const error = point ? 0 : fit.largest_error;
    const source = point ? device.how : error === null ? "error unknown" : `± ${percent(error)}`;
    return { verdict: verdictOf(peak, error, budget), peak: `${gb(peak)} (${source})`, longest: reach, peakGb: peak };
  }

  function verdictOf(peak, error, budget) {
    if (error === null) return "cannot be said";
    if (peak * (1 + error) <= budget) return "fits";
    return peak * (1 - error) > budget ? "does not fit" : "too close to say";
  }

  // Write one sentence for all kinds of attention: "fits: bigbird, tiled; does not fit: dense".
  function summary(rows) {
    const groups = Map.groupBy(rows, (row) => row.verdict);
    const order = ["fits", "too close to say", "does not fit", "cannot be said"];
    const parts = order.filter((v) => groups.has(v)).map((v) => `${v}: ${groups.get(v).map((row) => row.attention).join(", ")}`);
    const text = parts.join("; ");
    return `${text[0].toUpperCase()}${text.slice(1)}.`;
  }

  function explanation(channels, device) {
    const model = `Models of ${channels.toLocaleString("en")} channels, batch 1.`;
    return device.how === "compiled"
      ? `${model} Compiled for this card and not run there. Between compiled lengths the peak is a straight line; ± is the ` +
          "largest error of a length that was left out."
      : `${model} A fit to peaks measured on a CPU, not on a GPU; ± is the largest error of a point that was left out.`;
  }

  const [first, last] = DRAWN_DOUBLINGS.map((power) => POINTS_PER_DOUBLING * power);
  const drawnBp = Array.from({ length: last - first + 1 }, (_, i) => Math.round(2 ** ((first + i) / POINTS_PER_DOUBLING)));

  // Return the points of a curve: the fit, its extrapolation, or the known steps of an attention.
  function curve({ part, attention }, device, asked) {
    const nothing = { x: [null], y: [null] };
    const points = (pairs) => (pairs.length ? { x: pairs.map((p) => p[0]), y: pairs.map((p) => p[1]) } : nothing);
    if (part === "budget") return { x: [drawnBp[0], drawnBp.at(-1)], y: [asked.budget_gb, asked.budget_gb] };
    if (part === "asked") return points(asked.rows.filter((row) => row.peakGb).map((row) => [asked.sequence_length_bp, row.peakGb]));
    const fit = device.fits.find((f) => f.trainable === asked.trainable && f.attention === attention);
    if (!fit) return nothing;
    const hasLayers = ([layers]) => layers === asked.num_transformer_layers;
    if (part === "known") return points(fit.known.filter(hasLayers).map(([, length, peak]) => [length, peak]));
    if (part === "failed") return points(fit.failed.filter(hasLayers).map(([, length]) => [length, asked.top_gb]));
    const pieces = piecesOf(fit, asked);
    if (!pieces) return nothing;
    const { longest_bp: longest, answers_bp: [from, to] } = fit;
    const lengths = [...new Set([...drawnBp, ...pieces.map(([start]) => start), longest])].sort((a, b) => a - b);
    const [least, most] = part === "fit" ? [from, longest] : [longest, to];
    return points(lengths.filter((x) => isWithin(x, [least, most]) && x > 0).map((x) => [x, peakGb(pieces, x)]));
  }

  // Limit the axis to a range from the lowest peak to well above the question.
  function shownRange(device, asked) {
    const peaks = device.fits
      .filter((fit) => fit.trainable === asked.trainable)
      .flatMap((fit) => fit.known.filter(([layers]) => layers === asked.num_transformer_layers).map(([, , peak]) => peak));
    const rings = asked.rows.flatMap((row) => row.peakGb ?? []);
    return [Math.min(...peaks, ...rings, asked.budget_gb) / 1.25, 4 * Math.max(...rings, asked.budget_gb)];
  }

  // plotly_figures.js draws the figure that the script element holds.
  function redraw(figure, device, asked) {
    const script = figure.querySelector("script");
    const drawn = JSON.parse(script.textContent);
    const range = shownRange(device, asked);
    const shown = { ...asked, top_gb: range[1] / 1.15 };
    for (const trace of drawn.data) Object.assign(trace, curve(trace.meta, device, shown));
    drawn.layout.yaxis.range = range.map(Math.log10);
    drawn.layout.meta.caption = device.caption;
    script.textContent = JSON.stringify(drawn);
    figure.querySelector("figcaption").firstChild.textContent = device.caption;
    figure.dispatchEvent(new Event("redraw"));
  }

  const element = (name, ...children) => {
    const made = document.createElement(name);
    made.append(...children);
    return made;
  };

  function table(rows, labels) {
    if (!rows.length) return [];
    const headings = ["Attention", "Fits", "Peak of a training step", "Longest input that fits"];
    const head = element("thead", element("tr", ...headings.map((text) => element("th", text))));
    const cells = ({ attention, verdict, peak, longest }) => [labels[attention], verdict, peak, longest];
    const body = element("tbody", ...rows.map((row) => element("tr", ...cells(row).map((text) => element("td", text)))));
    const made = element("table", head, body);
    made.className = "table";
    return [made];
  }

  // Return a sentence about an invalid question, or an empty string.
  function complaint(form, asked, device) {
    const { num_transformer_layers: layers, sequence_length_bp: length } = form.elements;
    if (!layers.validity.valid) return `The layers are at least 1 and at most ${layers.max}.`;
    if (!form.checkValidity()) return "The memory and the length are numbers of at least 1.";
    if (asked.sequence_length_bp % BLOCK_BP) {
      const below = BLOCK_BP * Math.floor(length.valueAsNumber / BLOCK_BP);
      const nearest = [below, below + BLOCK_BP].filter(Boolean).map(bp).join(" or ");
      return `${bp(asked.sequence_length_bp)} is no multiple of ${bp(BLOCK_BP)}: ask for ${nearest}.`;
    }
    if (device.fits.some((fit) => fit.trainable === asked.trainable)) return "";
    return `Nothing was ${device.how} for this device with ${asked.trainable} trained; choose another device.`;
  }

  function update(form) {
    const { channels, devices, labels } = JSON.parse(form.querySelector("script").textContent);
    const device = devices.find((d) => d.name === form.elements.device.value);
    const asked = { trainable: form.elements.trainable.value };
    for (const input of form.querySelectorAll("input")) asked[input.name] = input.valueAsNumber;
    const wrong = complaint(form, asked, device);
    asked.rows = wrong
      ? []
      : device.fits
          .filter((fit) => fit.trainable === asked.trainable)
          .map((fit) => ({ attention: fit.attention, ...answer(device, fit, asked) }));
    if (form.checkValidity()) redraw(form.closest("section").querySelector("figure.plotly-figure"), device, asked);
    const lines = wrong ? [wrong] : [summary(asked.rows), explanation(channels, device)];
    form.querySelector("output").replaceChildren(...lines.map((line) => element("p", line)));
    form.querySelector(".pst-scrollable-table-container").replaceChildren(...table(asked.rows, labels));
  }

  function fillMemory(form) {
    const { devices } = JSON.parse(form.querySelector("script").textContent);
    const { memory_gb: memory } = devices.find((d) => d.name === form.elements.device.value);
    if (memory) form.elements.budget_gb.value = memory;
  }

  for (const form of document.querySelectorAll("form.memory-planner")) {
    form.elements.device.addEventListener("input", () => fillMemory(form));
    form.addEventListener("input", () => update(form));
    form.addEventListener("submit", (event) => event.preventDefault());
    update(form);
  }
})();
