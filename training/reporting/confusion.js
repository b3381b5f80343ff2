{
  const box = document.currentScript.parentElement, svg = box.querySelector("svg"), out = box.querySelector("output")
  const {labels, pairs} = JSON.parse(box.querySelector('script[type="application/json"]').textContent)
  const counts = new Map(pairs.map(([row, column, count]) => [row * labels.length + column, count]))
  const totals = labels.map(() => 0)
  for (const [row, , count] of pairs) totals[row] += count
  let zoom = 1, row = 0, column = 0
  const show = () => {
    const count = counts.get(row * labels.length + column) ?? 0
    const share = totals[row] ? `, ${(100 * count / totals[row]).toFixed(0)} %` : ""
    out.textContent = `true: ${labels[row]}; predicted: ${labels[column]}: ${count} of ${totals[row]}${share}`
    svg.querySelector(".here").setAttribute("d", `M${column} ${row}h1v1h-1z`)
  }
  const reveal = () => {
    const here = svg.querySelector(".here")
    if (here.hasAttribute("d")) here.scrollIntoView({block: "nearest", inline: "nearest"})
  }
  const point = event => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse())
    const inside = value => value >= 0 && value < labels.length
    // On a label: the cell of that class on the diagonal.
    const [x, y] = [at.x, at.y].map(Math.floor)
    if (!inside(x) && !inside(y)) return
    column = inside(x) ? x : y
    row = inside(y) ? y : x
    show()
  }
  svg.addEventListener("pointermove", point)
  svg.addEventListener("pointerdown", point)
  svg.addEventListener("keydown", event => {
    const [dx, dy] = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key] ?? [0, 0]
    if (!dx && !dy) return
    event.preventDefault()
    const last = labels.length - 1
    column = Math.min(last, Math.max(0, column + dx))
    row = Math.min(last, Math.max(0, row + dy))
    show()
    reveal()
  })
  const enlarge = wanted => {
    // Pixels of a cell when the whole is seen; the window may have another size than it had.
    const cell = svg.clientWidth / zoom / (labels.length + 14)
    zoom = Math.min(Math.max(1, 40 / cell), Math.max(1, wanted(cell)))
    box.style.setProperty("--zoom", zoom)
  }
  for (const button of box.querySelectorAll("button")) {
    button.onclick = () => {
      enlarge(() => zoom * button.dataset.by)
      reveal()
    }
  }
  // Begun at 7 pixels, which can still be pointed at.
  enlarge(cell => 7 / cell)
}
