// How images come in: chosen, dropped anywhere on the page, or pasted. Each ends as { file, folder }.

// take(found) is called with what has come; drop is the box that shows where to drop.
export function listen({ drop, inputs }, take) {
  for (const input of inputs) {
    input.addEventListener("change", () => {
      take([...input.files].map((file) => ({ file, folder: folderOf(file.webkitRelativePath) })));
      input.value = ""; // so that the same file can be chosen again
    });
  }
  document.addEventListener("paste", (event) => {
    const files = [...event.clipboardData.files];
    if (files.length) event.preventDefault();
    take(files.map((file) => ({ file: renamed(file), folder: "" })));
  });
  listenToDrops(drop, take);
}

// The whole page takes drops: beside the box, the browser would leave the page for the image.
function listenToDrops(drop, take) {
  for (const type of ["dragenter", "dragover", "dragleave", "drop"]) {
    window.addEventListener(type, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", type === "dragover" || type === "dragenter");
      if (type === "drop") dropped(event.dataTransfer).then(take);
    });
  }
}

async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean); // gone after an await
  if (!entries.length) return [...transfer.files].map((file) => ({ file, folder: "" }));
  return (await Promise.all(entries.map(filesOf))).flat();
}

async function filesOf(entry) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    return [{ file, folder: folderOf(entry.fullPath.slice(1)) }];
  }
  const inside = (await entriesOf(entry.createReader())).filter(({ name }) => !name.startsWith("."));
  return (await Promise.all(inside.map(filesOf))).flat();
}

async function entriesOf(reader) {
  const all = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // at most 100 at a time
    if (!some.length) return all;
    all.push(...some);
  }
}

const folderOf = (path = "") => path.split("/").slice(0, -1).join("/");

// A clipboard calls every image "image.png".
function renamed(file) {
  const time = new Date().toTimeString().slice(0, 8).replaceAll(":", ".");
  return new File([file], `pasted ${time} ${file.name}`, { type: file.type });
}
