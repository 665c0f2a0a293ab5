/* Before anything is painted: an address with a network in it (#network=…) shows that network instead of the training. Not a module, so
   that the other page does not flash. */
{
  const shared = () => location.hash.startsWith("#network=");
  const shown = location.href;
  document.documentElement.classList.toggle("shared", shared());
  addEventListener("hashchange", () => {
    // the same document with another network, or without one
    if (shared() || document.documentElement.classList.contains("shared")) if (location.href !== shown) location.reload();
  });
}
