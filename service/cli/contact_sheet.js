const sheet = document.querySelector('.sheet')
const labels = document.querySelectorAll('.label')
const order = document.querySelector('#order')

order.onclick = () => {
  sheet.append(...[...sheet.children].reverse())
  const next = order.textContent.includes('least') ? 'surest' : 'least sure'
  order.textContent = `show the ${next} first`
}

for (const label of labels) {
  label.onclick = () => {
    const pressed = label.ariaPressed !== 'true'
    for (const each of labels) each.ariaPressed = String(pressed && each === label)
    for (const card of sheet.children) {
      card.hidden = pressed && card.dataset.label !== label.dataset.label
    }
  }
}
