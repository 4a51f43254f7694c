// Writes types.txt, the media types of file extensions: those of mime-db, and of several for one
// extension the one that mime-types chooses. Types below a name that is not registered (RFC 6838, 4.2.7)
// are left out: chemical/, x-shader/ and x-conference/. In a folder of its own:
//
//	npm install mime-db@1.54.0 mime-types@3.0.2 && node types.mjs > types.txt
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const require = createRequire(process.cwd() + "/");
const { types } = require("mime-types");
const { version } = require("mime-db/package.json");
const licence = readFileSync(require.resolve("mime-db/package.json").replace("package.json", "LICENSE"), "utf8");

const registered = /^(application|audio|font|haptics|image|message|model|multipart|text|video)\//;
const rows = Object.keys(types).filter((e) => registered.test(types[e])).map((e) => e + " " + types[e]);
rows.sort((a, b) => (Buffer.compare(Buffer.from(a.split(" ")[0]), Buffer.from(b.split(" ")[0]))));
const notice = `Extensions and media types of mime-db ${version}, written by types.mjs.\n${licence.trim()}`;
console.log(notice.split("\n").map((l) => ("# " + l).trim()).join("\n") + "\n\n" + rows.join("\n"));
