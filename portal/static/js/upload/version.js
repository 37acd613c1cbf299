// On the page of a document one file is taken at a time: its new version.

const SEVERAL = "One file becomes one version: add only the one that is to be the newest.";
const FOLDER = "A folder cannot become a version of a document. Add one file.";

/**
 * What is to be sent of files and folders that were added together: one file, or nothing, each
 * with the rule. Answers what the queue takes.
 */
export function one(files, folders = []) {
  const isRefused = files.length + folders.length > 1;
  return [
    ...folders.map((name) => ({ file: new File([], name), path: "", why: FOLDER })),
    ...files.map((file) => ({ file, path: "", why: isRefused ? SEVERAL : "" })),
  ];
}
