// Completes the word at the caret of a search line, from the options of its datalist. Without scripts the datalist
// itself completes the whole line.

const MOST = 12;

export function completeSearches() {
  for (const input of document.querySelectorAll("[data-complete]")) new Completion(input);
}

class Completion {
  constructor(input) {
    this.input = input;
    this.words = [...(input.list?.options ?? [])].map((option) => option.value);
    input.removeAttribute("list");
    this.list = document.createElement("ul");
    this.list.className = "completion";
    this.list.id = `${input.id}-completion`;
    this.list.setAttribute("role", "listbox");
    this.list.setAttribute("aria-label", "Words to choose");
    this.list.hidden = true;
    input.parentElement.append(this.list);
    for (const [name, value] of Object.entries({ role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": this.list.id })) {
      input.setAttribute(name, value);
    }
    this.chosen = -1;
    input.addEventListener("input", () => this.offer());
    input.addEventListener("keydown", (event) => this.key(event));
    input.addEventListener("blur", () => setTimeout(() => this.hide(), 150));
    this.list.addEventListener("mousedown", (event) => {
      event.preventDefault();
      const item = event.target.closest("li");
      if (item) this.take(item.textContent);
    });
  }

  // The word at the caret: where it begins, and what of it stands before the caret.
  word() {
    const before = this.input.value.slice(0, this.input.selectionStart);
    const start = before.search(/[^\s]*$/);
    const opposite = before[start] === "-" ? 1 : 0;
    return { start: start + opposite, text: before.slice(start + opposite) };
  }

  offer() {
    const { text } = this.word();
    const found = text ? this.words.filter((word) => word.startsWith(text) && word !== text) : [];
    const inside = text.length > 1 ? this.words.filter((word) => word.includes(text) && !word.startsWith(text)) : [];
    const offered = [...found, ...inside].slice(0, MOST);
    this.list.replaceChildren(
      ...offered.map((word, number) => {
        const item = document.createElement("li");
        item.id = `${this.list.id}-${number}`;
        item.setAttribute("role", "option");
        item.textContent = word;
        return item;
      }),
    );
    this.chosen = -1;
    this.list.hidden = offered.length === 0;
    this.mark();
  }

  key(event) {
    if (this.list.hidden) return;
    const many = this.list.children.length;
    if (event.key === "ArrowDown") this.chosen = (this.chosen + 1) % many;
    else if (event.key === "ArrowUp") this.chosen = (this.chosen + many - (this.chosen < 0 ? 0 : 1)) % many;
    else if (event.key === "Escape") return this.hide();
    else if (event.key === "Tab" && !event.shiftKey) this.chosen = Math.max(0, this.chosen);
    else if (event.key !== "Enter") return;
    if (event.key === "Enter" || event.key === "Tab") {
      if (this.chosen < 0) return;
      this.take(this.list.children[this.chosen].textContent);
    }
    event.preventDefault();
    this.mark();
  }

  take(word) {
    const { start } = this.word();
    const rest = this.input.value.slice(this.input.selectionStart).replace(/^\S*/, "");
    const ended = word.endsWith(":") ? word : `${word} `;
    this.input.value = this.input.value.slice(0, start) + ended + rest.trimStart();
    this.input.setSelectionRange(start + ended.length, start + ended.length);
    this.input.focus();
    this.offer();
  }

  hide() {
    this.list.hidden = true;
    this.mark();
  }

  mark() {
    [...this.list.children].forEach((item, number) => item.setAttribute("aria-selected", String(number === this.chosen)));
    const item = this.list.hidden ? null : this.list.children[this.chosen];
    this.input.setAttribute("aria-expanded", String(!this.list.hidden));
    if (item) {
      this.input.setAttribute("aria-activedescendant", item.id);
      item.scrollIntoView({ block: "nearest" });
    } else this.input.removeAttribute("aria-activedescendant");
  }
}
