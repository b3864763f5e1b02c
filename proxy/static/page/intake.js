// How images come in: chosen, dropped anywhere on the page, or pasted. Each ends as { file, folder }.

import { clock, compareNames } from "./words.js";

// take(found) is called with what has come, tell(paths) with what could not be read; drop is the box that shows where to
// drop.
export function listen({ drop, inputs }, take, tell) {
  for (const input of inputs) {
    input.addEventListener("change", () => {
      const files = [...input.files].filter((file) => !isHidden(file));
      take(inOrder(files.map((file) => ({ file, folder: folderOf(file.webkitRelativePath) }))));
      input.value = ""; // so that the same file can be chosen again
    });
  }
  document.addEventListener("paste", (event) => {
    const files = [...event.clipboardData.files];
    if (files.length) event.preventDefault();
    take(files.map((file) => ({ file: renamed(file), folder: "" })));
  });
  listenToDrops(drop, take, tell);
}

// The whole page takes drops: beside the box, the browser would leave the page for the image.
function listenToDrops(drop, take, tell) {
  for (const type of ["dragenter", "dragover", "dragleave", "drop"]) {
    window.addEventListener(type, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", type === "dragover" || type === "dragenter");
      if (type !== "drop") return;
      dropped(event.dataTransfer).then(({ found, unread }) => {
        take(found);
        tell(unread);
      });
    });
  }
}

async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean); // gone after an await
  const unread = [];
  if (!entries.length) return { found: [...transfer.files].map((file) => ({ file, folder: "" })), unread };
  const found = (await Promise.all(entries.map((entry) => filesOf(entry, unread)))).flat();
  return { found: inOrder(found), unread };
}

// One entry that cannot be read leaves the others: its path goes to unread.
async function filesOf(entry, unread) {
  try {
    if (entry.isFile) {
      const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
      return [{ file, folder: folderOf(entry.fullPath.slice(1)) }];
    }
    const inside = (await entriesOf(entry.createReader())).filter(({ name }) => !name.startsWith("."));
    return (await Promise.all(inside.map((each) => filesOf(each, unread)))).flat();
  } catch {
    unread.push(entry.fullPath);
    return [];
  }
}

async function entriesOf(reader) {
  const all = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // at most 100 at a time
    if (!some.length) return all;
    all.push(...some);
  }
}

// Below the folder that was chosen, as in one that is dropped.
function isHidden({ webkitRelativePath: path }) {
  return path
    .split("/")
    .slice(1)
    .some((part) => part.startsWith("."));
}

// By folder, then by name: browsers list a folder in any order.
function inOrder(found) {
  const compare = (one, other) => compareNames(one.folder, other.folder) || compareNames(one.file.name, other.file.name);
  return found.sort((one, other) => (one.folder || other.folder ? compare(one, other) : 0));
}

const folderOf = (path) => path.split("/").slice(0, -1).join("/");

// A clipboard calls every image "image.png".
function renamed(file) {
  return new File([file], `pasted ${clock()} ${file.name}`, { type: file.type });
}
