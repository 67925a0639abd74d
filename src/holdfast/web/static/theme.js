// The switch between light and dark, without going to another page.

import { remember } from "./cookie.js";

export function switchTheme() {
  const form = document.querySelector("[data-theme-form]");
  form?.addEventListener("submit", (event) => {
    event.preventDefault();
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    remember("holdfast_theme", root.dataset.theme);
    form.elements.theme.value = dark ? "dark" : "light";
  });
}
