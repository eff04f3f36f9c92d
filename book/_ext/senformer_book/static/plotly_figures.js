// Draws every figure of a page, in the page's theme, and again when that changes, or when what stands
// in the figure's script has changed: then the figure gets the event "redraw".
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

  const PAPER_WIDTH_PX = 600; // an A4 page between its margins
  const PAPER_HEIGHT_PX = 900; // the same, with room for a caption
  const DEFAULT_HEIGHT_PX = 450; // Plotly's own
  let onPaper = false;

  // As wide as the text, or the paper, and keeping zoom and hidden traces when it is drawn again.
  function pageLayout(layout) {
    const { width, ...rest } = layout;
    const template = merged(layout.template || {}, themeTemplate());
    return { ...rest, ...(onPaper ? paperSize(layout) : { autosize: true }), template, uirevision: "page" };
  }

  function paperSize(layout) {
    const height = Math.min(layout.height || DEFAULT_HEIGHT_PX, PAPER_HEIGHT_PX);
    return { autosize: false, width: PAPER_WIDTH_PX, height };
  }

  const config = {
    responsive: true,
    displaylogo: false,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "toImage"],
  };

  function draw(element) {
    const plot = element.querySelector(".plotly-figure-plot");
    const { data, layout } = JSON.parse(element.querySelector("script").textContent);
    return Plotly.react(plot, data, pageLayout(layout), config);
  }

  const figures = () => [...document.querySelectorAll("figure.plotly-figure")];

  // A file to print or reuse: the figure as the reader sees it, dark on white, with its caption.
  function saveImage(figure, name) {
    const plot = figure.querySelector(".plotly-figure-plot");
    const light = inLight(() => pageLayout(plot.layout));
    const layout = withCaption({ ...light, height: plot.clientHeight, paper_bgcolor: "#fff" });
    return Plotly.downloadImage(
      { data: plot.data, layout },
      { format: "svg", filename: name, width: PAPER_WIDTH_PX, height: layout.height },
    );
  }

  function withCaption(layout) {
    const { caption } = layout.meta;
    const line = 24;
    const height = layout.height + line;
    const place = { xref: "container", x: 0, xanchor: "left", yref: "container", y: 0, yanchor: "bottom" };
    const title = { text: caption, font: { size: 10 }, pad: { l: 8, b: 6 }, ...place };
    return { ...layout, height, title, legend: { ...layout.legend, y: line / height } };
  }

  function offerImages() {
    const page = location.pathname.split("/").pop().replace(/\.html$/, "") || "index";
    figures().forEach((figure, index) => {
      const offer = document.createElement("span");
      offer.className = "plotly-figure-image";
      offer.innerHTML = ' · <button type="button">image (SVG)</button>';
      offer.lastChild.addEventListener("click", () => saveImage(figure, `${page}-${index + 1}`));
      figure.querySelector("figcaption")?.append(offer);
    });
  }

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

  for (const figure of figures()) {
    widths.observe(figure.querySelector(".plotly-figure-plot"));
    figure.addEventListener("redraw", () => draw(figure));
  }
  const root = document.documentElement;
  const themeChanges = new MutationObserver(() => onPaper || drawAll());
  themeChanges.observe(root, { attributeFilter: ["data-theme"] });

  // What the light theme gives, without a moment of it on the screen.
  function inLight(read) {
    const { theme } = root.dataset;
    root.dataset.theme = "light";
    const result = read();
    root.dataset.theme = theme;
    themeChanges.takeRecords();
    return result;
  }

  // Paper is white and has its own width. The page is printed as it is when this listener returns.
  let themeOnScreen;
  addEventListener("beforeprint", () => {
    onPaper = true;
    root.classList.add("on-paper");
    themeOnScreen = root.dataset.theme;
    root.dataset.theme = "light";
    figures().forEach(draw);
  });
  addEventListener("afterprint", () => {
    onPaper = false;
    root.classList.remove("on-paper");
    root.dataset.theme = themeOnScreen;
    drawAll();
  });
  offerImages();
  drawAll();
})();
