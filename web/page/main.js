/** Loads what the address asks for: the training with its engine, or the small runtime with the network in the link. */
import(document.documentElement.classList.contains("shared") ? "./shared.js" : "./app.js");
