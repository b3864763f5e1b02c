// One image on the page: { key, file, folder, name, truth, state, answer, problem, row }; its state is waiting, running,
// done or failed. What is done or failed stays as it is: when its file is analysed again, a new item takes its place.

// found: { file, folder, truth }, or an item that is to be analysed again and has its key already.
export function itemOf({ key, file, folder, truth }) {
  const name = file.name;
  return { key: key ?? keyOf(file, folder), file, folder, name, truth, state: "waiting", answer: null, problem: null };
}

// What tells files apart. Browsers name no folder of a single file, so size and date count, too.
const keyOf = ({ name, size, lastModified }, folder) => JSON.stringify([folder, name, size, lastModified]);

// Whether an item is on its way.
export const isOpen = ({ state }) => state === "waiting" || state === "running";
