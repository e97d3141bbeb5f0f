const pointed = document.getElementById('pointed');
addEventListener('pointerover', event => {
  const mark = event.target.closest('[role="graphics-symbol"][aria-label]');
  pointed.hidden = !mark;
  pointed.textContent = mark ? mark.getAttribute('aria-label') : '';
});
