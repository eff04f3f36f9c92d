// Draws every figure of a page, in the page's theme, and again when that changes.
(() => {
  "use strict";

  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const isObject = (value) => value && typeof value === "object" && !Array.isArray(value);

  function merged(base, over) {
    const result = { ...base };
    for (const [key, value] of Object.entries(over)) {
      result[key] = isObject(value) && isObject(result[key]) ? merged(result[key], value) : value;
    }
    return result;
  }

  // What the page's theme says about a figure; a figure's own layout wins over it.
  function themeTemplate() {
    const text = style("--pst-color-text-base");
    const line = style("--pst-color-border");
    const surface = style("--pst-color-surface");
    const axis = { gridcolor: line, linecolor: line, zerolinecolor: line, tickcolor: line, automargin: true };
    return {
      layout: {
        paper_bgcolor: "rgba(0,0,0,0)",
        plot_bgcolor: "rgba(0,0,0,0)",
        font: { color: text, family: style("--pst-font-family-base") || "sans-serif" },
        xaxis: axis,
        yaxis: axis,
        legend: { bgcolor: "rgba(0,0,0,0)" },
        hoverlabel: { bgcolor: surface, bordercolor: line, font: { color: text } },
        annotationdefaults: { font: { color: text }, arrowcolor: text },
        updatemenudefaults: { bgcolor: surface, bordercolor: line, font: { color: text } },
        sliderdefaults: { bgcolor: surface, bordercolor: line, font: { color: text } },
        modebar: { bgcolor: "rgba(0,0,0,0)", color: style("--pst-color-text-muted"), activecolor: text },
      },
    };
  }

  const PAPER_WIDTH_PX = 640; // an A4 page between its margins
  let onPaper = false;

  // As wide as the text, or the paper, and keeping zoom and hidden traces when it is drawn again.
  function pageLayout(layout) {
    const { width, ...rest } = layout;
    const template = merged(layout.template || {}, themeTemplate());
    const size = onPaper ? { autosize: false, width: PAPER_WIDTH_PX } : { autosize: true };
    return { ...rest, ...size, template, uirevision: "page" };
  }

  const config = {
    responsive: true,
    displaylogo: false,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
    toImageButtonOptions: { format: "svg" },
  };

  function draw(element) {
    const plot = element.querySelector(".plotly-figure-plot");
    const { data, layout } = JSON.parse(element.querySelector("script").textContent);
    return Plotly.react(plot, data, pageLayout(layout), config);
  }

  const figures = () => [...document.querySelectorAll("figure.plotly-figure")];

  async function drawAll() {
    for (const figure of figures()) {
      await draw(figure);
      await new Promise((resume) => setTimeout(resume)); // lets the reader scroll between two figures
    }
  }

  // A tab that opens, or a sidebar that closes, changes a figure's width and not the window's.
  const widths = new ResizeObserver((entries) => {
    for (const { target } of entries) if (!onPaper && target.clientWidth && target.layout) Plotly.Plots.resize(target);
  });

  for (const figure of figures()) widths.observe(figure.querySelector(".plotly-figure-plot"));
  new MutationObserver(() => onPaper || drawAll()).observe(document.documentElement, { attributeFilter: ["data-theme"] });

  // Paper is white and has its own width. The page is printed as it is when this listener returns.
  let themeOnScreen;
  addEventListener("beforeprint", () => {
    onPaper = true;
    themeOnScreen = document.documentElement.dataset.theme;
    document.documentElement.dataset.theme = "light";
    figures().forEach(draw);
  });
  addEventListener("afterprint", () => {
    onPaper = false;
    document.documentElement.dataset.theme = themeOnScreen;
    drawAll();
  });
  drawAll();
})();
