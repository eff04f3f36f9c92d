// Sorts a table of results by the column whose head is pressed, and filters the rows of a long one.
(() => {
  "use strict";
  const LONG = 12; // rows from which on a table has a filter

  const number = (text) => {
    const found = text.replace(/[,\u00a0]/g, "").match(/^[−-]?\d[\d.]*(e[+-]?\d+)?/);
    return found ? Number(found[0].replace("−", "-")) : NaN;
  };

  // What is missing, or no number among numbers, comes last in either direction.
  function compared(a, b, direction) {
    const [x, y] = [number(a), number(b)];
    if (Number.isNaN(x) !== Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1;
    return direction * (Number.isNaN(x) ? a.localeCompare(b) : x - y);
  }

  function sort(table, column, direction) {
    const body = table.tBodies[0];
    const text = (row) => row.cells[column].textContent.trim();
    body.append(...[...body.rows].sort((a, b) => compared(text(a), text(b), direction)));
  }

  function makeSortable(table) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const descending = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", descending ? "descending" : "ascending");
        sort(table, column, descending ? -1 : 1);
      });
    });
  }

  function makeFilterable(table) {
    const label = document.createElement("label");
    label.className = "filter";
    label.append("Rows with ");
    const input = document.createElement("input");
    input.type = "search";
    label.append(input);
    table.before(label);
    input.addEventListener("input", () => {
      const wanted = input.value.toLowerCase();
      for (const row of table.tBodies[0].rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
    });
  }

  for (const table of document.querySelectorAll("table.dataframe")) {
    if (!table.tHead || !table.tBodies.length || table.tBodies[0].rows.length < 2) continue;
    makeSortable(table);
    if (table.tBodies[0].rows.length >= LONG) makeFilterable(table);
  }
})();
