// Tables are sorted by their headings: a button each, so that the keyboard reaches them.
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const falling = heading.getAttribute("aria-sort") === "ascending";
      headings.forEach((each) => each.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", falling ? "descending" : "ascending");
      const key = (row) => {
        const cell = row.cells[column];
        return cell.dataset.value === undefined ? cell.textContent : Number(cell.dataset.value);
      };
      const order = (one, other) =>
        typeof one === "number" && typeof other === "number" ? one - other
          : String(one).localeCompare(String(other));
      const rows = [...table.tBodies[0].rows];
      rows.sort((one, other) => order(key(one), key(other)) * (falling ? -1 : 1));
      table.tBodies[0].append(...rows);
    });
  });
}
