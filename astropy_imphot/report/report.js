"use strict";
(() => {
  const table = document.getElementById("exposure-table");
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const search = document.getElementById("search");
  const onlyFlagged = document.getElementById("only-flagged");
  const count = document.getElementById("count");
  const fits = new Map(Array.from(document.querySelectorAll("details.exposure"), (fit) => [fit.id, fit]));
  const texts = new Map(rows.map((row) => [row, `${row.textContent} ${row.dataset.more}`.toLowerCase()]));

  const compare = (one, other) => {
    const numbers = [Number(one), Number(other)];
    return numbers.some(Number.isNaN) ? one.localeCompare(other, undefined, { numeric: true }) : numbers[0] - numbers[1];
  };

  const sortBy = (header) => {
    const descending = header.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const valued = rows.map((row) => {
      const cell = row.cells[header.cellIndex];
      return { row, value: cell.dataset.value ?? cell.textContent.trim() };
    });
    // Unknown values are last in both directions.
    valued.sort(
      (one, other) =>
        (one.value === "") - (other.value === "") || (descending ? -1 : 1) * compare(one.value, other.value),
    );
    body.append(...valued.map(({ row }) => row));
  };

  const choose = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = texts.get(row);
      const fits_in = (!onlyFlagged.checked || "flagged" in row.dataset) && words.every((word) => text.includes(word));
      row.hidden = !fits_in;
      fits.get(row.dataset.fit).hidden = !fits_in;
      shown += fits_in;
    }
    count.textContent = `${shown} of ${rows.length} shown`;
  };

  const openTarget = () => {
    const fit = fits.get(location.hash.slice(1));
    if (fit) {
      fit.open = true;
      fit.scrollIntoView();
    }
  };

  for (const header of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => sortBy(header));
  }
  body.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    // The address does not change at the second click on a link.
    if (link) fits.get(link.hash.slice(1)).open = true;
  });
  search.addEventListener("input", choose);
  onlyFlagged.addEventListener("change", choose);
  window.addEventListener("hashchange", openTarget);
  for (const [id, open] of [["open-all", true], ["close-all", false]]) {
    document.getElementById(id).addEventListener("click", () => {
      for (const fit of fits.values()) if (!fit.hidden) fit.open = open;
    });
  }
  for (const controls of document.querySelectorAll(".controls")) controls.hidden = false;
  choose();
  openTarget();
})();
