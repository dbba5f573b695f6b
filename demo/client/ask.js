// Asks the reader one question; resolves with his words, "yes" where none are asked for, or null.
window.fedpsmaAsk = (title, label, withText = true) => {
  const $ = (id) => document.getElementById(id);
  const dialog = $("fp-ask");
  $("fp-ask-name").textContent = title;
  $("fp-ask-label").firstChild.textContent = `${label} `;
  const box = $("fp-ask-text");
  box.hidden = !withText;
  box.required = withText;
  box.value = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.onclose = () => resolve(dialog.returnValue === "yes" ? box.value.trim() || "yes" : null);
    dialog.returnValue = "no";
  });
};
