// Answers the memory planner's form, in words and in its figure, from the numbers that the page holds.
(() => {
  "use strict";
  const BLOCK_BP = 8192;
  const POINTS_PER_DOUBLING = 8;
  const DRAWN_DOUBLINGS = [14, 23]; // the ends of the figure's axis

  const bp = (length) => `${length.toLocaleString("en")}\u00a0bp`;
  const gb = (value) => `${value.toPrecision(3)}\u00a0GB`;
  const percent = (value) => `${(100 * value).toPrecision(2)}\u00a0%`;

  const peakGb = ([constant, linear, quadratic], length) =>
    constant + linear * length + quadratic * length * length;

  // The largest number of blocks whose peak is within the budget, in base pairs.
  function longestBp(coefficients, budgetGb) {
    const fits = (blocks) => peakGb(coefficients, blocks * BLOCK_BP) <= budgetGb;
    if (!fits(1)) return 0;
    if (!coefficients[1] && !coefficients[2]) return Infinity;
    let fitting = 1;
    let tooLong = 2;
    while (fits(tooLong)) [fitting, tooLong] = [tooLong, 2 * tooLong];
    while (tooLong - fitting > 1) {
      const middle = Math.floor((fitting + tooLong) / 2);
      if (fits(middle)) fitting = middle;
      else tooLong = middle;
    }
    return fitting * BLOCK_BP;
  }

  function answer(channels, fit, asked) {
    const coefficients = fit.peak_gb[asked.num_transformer_layers - 1];
    const peak = peakGb(coefficients, asked.sequence_length_bp);
    const longest = longestBp(coefficients, asked.budget_gb);
    const verdict = peak <= asked.budget_gb ? "fits" : "does not fit";
    const reach = longest ? `The longest input that fits is ${bp(longest)}.` : "No input fits.";
    const beyond = Math.max(asked.sequence_length_bp, longest) > fit.longest_bp;
    return [
      `A training step needs about ${gb(peak)}: it ${verdict}. ${reach}`,
      `Models of ${channels.toLocaleString("en")} channels, batch 1. Left out in turn, measured points are met within ` +
        `${percent(fit.median_error)} (median) and ${percent(fit.largest_error)} (largest).`,
      beyond ? `Measured up to ${bp(fit.longest_bp)}; beyond that the fit extrapolates.` : "",
    ];
  }

  const [first, last] = DRAWN_DOUBLINGS.map((power) => POINTS_PER_DOUBLING * power);
  const drawnBp = Array.from({ length: last - first + 1 }, (_, i) => Math.round(2 ** ((first + i) / POINTS_PER_DOUBLING)));

  // What a curve of the figure shows: of a kind the fit, where it extrapolates, and what was measured.
  function curve({ part, attention }, fits, asked) {
    const fit = fits.find((f) => f.trainable === asked.trainable && f.attention === (attention || asked.attention));
    if (part === "budget") return { x: [drawnBp[0], drawnBp.at(-1)], y: [asked.budget_gb, asked.budget_gb] };
    if (!fit) return { x: [null], y: [null] };
    if (part === "measured") {
      const points = fit.measured.filter(([layers]) => layers === asked.num_transformer_layers);
      return points.length ? { x: points.map((p) => p[1]), y: points.map((p) => p[2]) } : { x: [null], y: [null] };
    }
    const x = {
      asked: [asked.sequence_length_bp],
      fit: [...drawnBp.filter((length) => length < fit.longest_bp), fit.longest_bp],
      beyond: [fit.longest_bp, ...drawnBp.filter((length) => length > fit.longest_bp)],
    }[part];
    const coefficients = fit.peak_gb[asked.num_transformer_layers - 1];
    return { x, y: x.map((length) => peakGb(coefficients, length)) };
  }

  // From the least of the fits to well above what is asked: far beyond, curves say nothing of use.
  function shownRange(traces, asked) {
    const peaks = (part) => traces.filter((t) => t.meta.part === part).flatMap((t) => t.y.filter((y) => y > 0));
    return [Math.min(...peaks("fit"), asked.budget_gb) / 1.25, 4 * Math.max(...peaks("asked"), asked.budget_gb)];
  }

  // plotly_page.js draws what stands in the figure's script.
  function redraw(figure, fits, asked) {
    const script = figure.querySelector("script");
    const drawn = JSON.parse(script.textContent);
    for (const trace of drawn.data) Object.assign(trace, curve(trace.meta, fits, asked));
    drawn.layout.yaxis.range = shownRange(drawn.data, asked).map(Math.log10);
    script.textContent = JSON.stringify(drawn);
    figure.dispatchEvent(new Event("redraw"));
  }

  function update(form) {
    const output = form.querySelector("output");
    const { channels, fits } = JSON.parse(form.querySelector("script").textContent);
    const { attention, trainable } = form.elements;
    const asked = { attention: attention.value, trainable: trainable.value };
    for (const input of form.querySelectorAll("input")) asked[input.name] = input.valueAsNumber;
    const fit = fits.find((f) => f.attention === asked.attention && f.trainable === asked.trainable);
    if (form.checkValidity()) redraw(form.closest("section").querySelector("figure.plotly-figure"), fits, asked);
    const lines = !form.checkValidity()
      ? ["The layers are at least 1, the length is a multiple of 8,192 bp."]
      : fit
        ? answer(channels, fit, asked)
        : [`Nothing was measured for ${asked.attention} with ${asked.trainable} trained.`];
    output.replaceChildren(...lines.filter(Boolean).map((line) => Object.assign(document.createElement("p"), { textContent: line })));
  }

  for (const form of document.querySelectorAll("form.memory-planner")) {
    form.addEventListener("input", () => update(form));
    form.addEventListener("submit", (event) => event.preventDefault());
    update(form);
  }
})();
